//! What a bus knows of each API: its settings, its schema, where it is, and who serves it here.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::RedisResult;
use serde_json::Value;

use super::counters::ApiCounters;
use super::{ApiSettings, Settings};
use crate::codec::lenient;
use crate::schema::{ApiSchema, ApiValidator, Direction, Strictness, Subject};
use crate::transport::{Transport, schemas};
use crate::{Address, Error, Service};

/// How often the schema of an API that has none is looked for. It bounds how long after a Python service came a message may be
/// sent to it unchecked, which can end it; Lightbus takes longer than that from storing its schema to reading messages.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// One API.
pub(crate) struct Api {
    pub(crate) name: String,
    pub(crate) settings: ApiSettings,
    pub(crate) calls: Arc<Transport>,
    pub(crate) events: Arc<Transport>,
    pub(crate) counters: ApiCounters,
    state: RwLock<State>,
    /// How many of the changes of its own schema are on the bus.
    stored_changes: AtomicU64,
    /// Held by whoever looks for the schema, so that others do not send before it is found.
    looked: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Default)]
struct State {
    service: Option<Arc<dyn Service>>,
    /// Whether the service is there for others as well.
    is_public: bool,
    known: Option<Arc<Known>>,
    /// What this process knows by itself: of an API it serves, or whose events it fires.
    own: Option<ApiSchema>,
    /// Counts changes of `own`.
    own_changes: u64,
}

/// A schema and its checks.
pub(crate) struct Known {
    pub(crate) schema: ApiSchema,
    validator: ApiValidator,
}

impl Known {
    fn new(schema: ApiSchema) -> Option<Arc<Known>> {
        match ApiValidator::compile(&schema) {
            Ok(validator) => Some(Arc::new(Known { schema, validator })),
            Err(error) => {
                tracing::warn!(api = schema.name(), %error, "a schema that cannot be used is ignored");
                None
            }
        }
    }
}

impl Api {
    fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn service(&self) -> Option<Arc<dyn Service>> {
        self.state().service.clone()
    }

    /// Who serves it for others.
    pub(crate) fn public_service(&self) -> Option<Arc<dyn Service>> {
        let state = self.state();
        state.service.clone().filter(|_| state.is_public)
    }

    /// The schema, its own or the one on the bus.
    pub(crate) fn known(&self) -> Option<Arc<Known>> {
        self.state().known.clone()
    }

    pub(crate) fn version(&self) -> u32 {
        self.known().map_or(1, |known| known.schema.version())
    }

    /// Serves it from here, by this schema.
    pub(crate) fn serve(&self, service: Arc<dyn Service>) {
        let schema = service.schema().clone();
        let known = Known::new(schema.clone());
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let own_changes = state.own_changes + 1;
        *state = State {
            service: Some(service),
            is_public: true,
            known,
            own: Some(schema),
            own_changes,
        };
    }

    /// Serves it to this process alone: the bus is not told.
    pub(crate) fn serve_here(&self, service: Arc<dyn Service>) {
        let known = Known::new(service.schema().clone());
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let own_changes = state.own_changes;
        *state = State { service: Some(service), is_public: false, known, own: None, own_changes };
    }

    fn is_public(&self) -> bool {
        self.state().is_public
    }

    /// Takes an event's schema into its own, if it has one. True as long as the bus has not been told.
    pub(crate) fn own_event(&self, name: &str, schema: &ApiSchema) -> bool {
        let state = self.state();
        if state.own.as_ref().is_some_and(|own| own.event(name).is_some()) {
            return self.stored_changes.load(Ordering::Acquire) < state.own_changes;
        }
        drop(state);
        if schema.event(name).is_none() {
            return false;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let own = merge(state.own.as_ref(), schema);
        let known = merge(state.known.as_ref().map(|known| &known.schema), &own);
        state.known = Known::new(known);
        state.own = Some(own);
        state.own_changes += 1;
        true
    }

    /// True if this process fires events of an API that others may serve.
    fn is_shared(&self) -> bool {
        let state = self.state();
        state.own.is_some() && state.service.is_none()
    }

    /// Takes what others have stored of an API of which this process may know events alone.
    fn complete(&self, text: &str) {
        let Ok(document) = lenient::from_str::<Value>(text) else { return };
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = &state.own else { return };
        let all = merge(Some(&ApiSchema::new(&self.name, 1, document)), own);
        if state.known.as_ref().is_none_or(|known| known.schema != all) {
            state.known = Known::new(all);
        }
    }

    /// What this process stores, if anything, and how many changes of its own are in that.
    fn to_store(&self) -> Option<(String, u64)> {
        let state = self.state();
        let own = state.own.as_ref()?;
        let known = state.known.as_ref().filter(|_| state.service.is_none());
        let document = known.map_or(own, |known| &known.schema).document();
        Some((document.to_string(), state.own_changes))
    }

    /// Takes a schema found on the bus, unless this process has its own.
    pub(crate) fn learn(&self, text: &str) {
        let Ok(document) = lenient::from_str::<Value>(text) else {
            tracing::warn!(api = self.name, "the schema on the bus is not JSON; it is ignored");
            return;
        };
        let state = self.state();
        let is_news = state.known.as_ref().is_none_or(|known| *known.schema.document() != document);
        if state.own.is_some() || state.service.is_some() || !is_news {
            return;
        }
        drop(state);
        let known = Known::new(ApiSchema::new(&self.name, 1, document));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.own.is_none() {
            state.known = known;
        }
    }

    /// Checks a message by the schema, as the rules want it.
    pub(crate) fn check(
        &self,
        direction: Direction,
        subject: Subject,
        name: &str,
        json: &str,
    ) -> Result<(), Error> {
        let rules = &self.settings.validation;
        if rules.strictness(direction) == Strictness::Off {
            return Ok(());
        }
        let Some(known) = self.known() else {
            return match rules.schema_required {
                true => Err(Error::SchemaNotFound(self.name.clone())),
                false => Ok(()),
            };
        };
        let check = || known.validator.check_json(subject, name, json);
        rules.enforce(direction, check).map_err(|invalid| Error::Invalid(invalid.to_string()))
    }

    /// Looks for the schema on the bus if none is known, though not all the time.
    pub(crate) async fn look_for_schema(&self, at: &Transport) {
        if self.state().known.is_some() {
            return;
        }
        let mut looked = self.looked.lock().await;
        if self.state().known.is_some() || looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return;
        }
        match schemas::load_some(&at.link, vec![self.name.clone()]).await {
            Ok(found) if found.is_empty() && looked.is_none() => {
                tracing::warn!(api = self.name, "no schema is known; messages go unchecked");
            }
            Ok(found) => found.iter().for_each(|(_, text)| self.learn(text)),
            Err(error) => tracing::warn!(api = self.name, %error, "the schema cannot be loaded"),
        }
        *looked = Some(Instant::now());
    }
}

/// `base` with what `other` knows of the same API.
fn merge(base: Option<&ApiSchema>, other: &ApiSchema) -> ApiSchema {
    let Some(base) = base else { return other.clone() };
    let mut document = base.document().clone();
    for kind in ["rpcs", "events"] {
        let Some(members) = other.document().get(kind).and_then(Value::as_object) else { continue };
        match document.get_mut(kind).and_then(Value::as_object_mut) {
            Some(into) => into.extend(members.clone()),
            // Somebody stored what is no schema.
            None => return other.clone(),
        }
    }
    ApiSchema::new(base.name(), other.version(), document)
}

/// All APIs that have been used, and the transports they are on.
pub(crate) struct Apis {
    settings: Settings,
    process: String,
    default: Arc<Transport>,
    /// One for each place.
    transports: Mutex<Vec<Arc<Transport>>>,
    pub(crate) schemas: Arc<Transport>,
    apis: RwLock<HashMap<String, Arc<Api>>>,
}

impl Apis {
    /// `process` names this process on the wire and must be its alone.
    pub(crate) fn new(settings: Settings, process: &str) -> Apis {
        let default = Transport::new(settings.address.clone(), process);
        let mut apis = Apis {
            transports: Mutex::new(vec![default.clone()]),
            schemas: default.clone(),
            default,
            process: process.to_owned(),
            settings,
            apis: RwLock::default(),
        };
        apis.schemas = apis.transport(apis.settings.schema_address.as_ref());
        apis
    }

    /// The way to a place: one for all that are in it.
    fn transport(&self, address: Option<&Address>) -> Arc<Transport> {
        let Some(address) = address else { return self.default.clone() };
        let mut transports = self.transports.lock().unwrap_or_else(PoisonError::into_inner);
        let known = transports.iter().find(|known| known.link.address().is_same(address)).cloned();
        known.unwrap_or_else(|| {
            let new = Transport::new(address.clone(), &self.process);
            transports.push(new.clone());
            new
        })
    }

    /// Everywhere events are, as far as settings and use say.
    pub(crate) fn event_transports(&self) -> Vec<Arc<Transport>> {
        for name in self.settings.apis.keys() {
            self.get(name);
        }
        let mut transports = vec![self.transport(self.settings.default_api.event_address.as_ref())];
        for api in self.all() {
            if !transports.iter().any(|known| Arc::ptr_eq(known, &api.events)) {
                transports.push(api.events.clone());
            }
        }
        transports
    }

    /// What is known of an API that has been used. For names that come from outside: there is no end of them.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Api>> {
        self.apis.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// What is known of an API.
    pub(crate) fn get(&self, name: &str) -> Arc<Api> {
        if let Some(api) = self.find(name) {
            return api;
        }
        let mut apis = self.apis.write().unwrap_or_else(PoisonError::into_inner);
        apis.entry(name.to_owned()).or_insert_with(|| Arc::new(self.make(name))).clone()
    }

    fn make(&self, name: &str) -> Api {
        let settings = self.settings.api(name).clone();
        Api {
            name: name.to_owned(),
            calls: self.transport(settings.call_address.as_ref()),
            events: self.transport(settings.event_address.as_ref()),
            settings,
            counters: ApiCounters::default(),
            state: RwLock::default(),
            stored_changes: AtomicU64::new(0),
            looked: tokio::sync::Mutex::default(),
        }
    }

    /// All that have been used.
    pub(crate) fn all(&self) -> Vec<Arc<Api>> {
        let mut all: Vec<_> =
            self.apis.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Stores the schemas that are this process's own. Those of shared APIs go with what others have stored of them: a
    /// schema that lacks an event ends Python listeners that hear it.
    pub(crate) async fn store_schemas(&self) -> Result<(), Error> {
        self.complete_and_store()
            .await
            .map_err(|source| Error::Transport { attempt: "store schemas".to_owned(), source })
    }

    async fn complete_and_store(&self) -> RedisResult<()> {
        let all = self.all();
        let shared = all.iter().filter(|api| api.is_shared()).map(|api| api.name.clone());
        for (name, text) in schemas::load_some(&self.schemas.link, shared.collect()).await? {
            self.get(&name).complete(&text);
        }
        let own: Vec<_> = all.iter().filter_map(|api| Some((api, api.to_store()?))).collect();
        let texts = own.iter().map(|(api, (text, _))| (api.name.as_str(), text.as_str()));
        schemas::store(&self.schemas.link, texts, self.settings.schema_ttl).await?;
        for (api, (_, changes)) in own {
            api.stored_changes.fetch_max(changes, Ordering::Release);
        }
        Ok(())
    }

    /// Reads all schemas there are.
    pub(crate) async fn load_schemas(&self) -> Result<(), Error> {
        let found = schemas::load(&self.schemas.link)
            .await
            .map_err(|source| Error::Transport { attempt: "load schemas".to_owned(), source })?;
        for (name, text) in &found {
            self.get(name).learn(text);
        }
        Ok(())
    }

    /// Nothing is served any more, and no results are received.
    pub(crate) fn close(&self) {
        for api in self.all() {
            api.state.write().unwrap_or_else(PoisonError::into_inner).service = None;
        }
        for transport in self.transports.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            transport.calls.close();
        }
    }

    /// The transports of the APIs served here, each with the names of its APIs.
    pub(crate) fn served(&self) -> Vec<(Arc<Transport>, HashSet<String>)> {
        let mut served: Vec<(Arc<Transport>, HashSet<String>)> = Vec::new();
        for api in self.all().iter().filter(|api| api.is_public()) {
            match served.iter_mut().find(|(transport, _)| Arc::ptr_eq(transport, &api.calls)) {
                Some((_, names)) => drop(names.insert(api.name.clone())),
                None => served.push((api.calls.clone(), HashSet::from([api.name.clone()]))),
            }
        }
        served
    }
}

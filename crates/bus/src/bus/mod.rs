//! The bus as a program sees it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::api::{Context, Origin};
use crate::{Call, Error, Service};

/// How one call is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// How long to wait for the answer; otherwise the API's setting, 5 s unless configured.
    pub timeout: Option<Duration>,
    /// Never call a service of this process directly, even if there is one.
    pub remote_only: bool,
}

/// A connection to the bus. Cheap to clone; all clones are one bus.
#[derive(Clone, Default)]
pub struct Bus {
    services: Arc<RwLock<HashMap<String, Arc<dyn Service>>>>,
}

impl Bus {
    /// Serves an API from this process.
    pub fn serve(&self, service: impl Service) {
        let name = service.schema().name().to_owned();
        self.services
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, Arc::new(service));
    }

    /// Calls a procedure and reads the answer as a type. What typed clients are made of.
    pub async fn request<A, T>(
        &self,
        api: &str,
        procedure: &str,
        arguments: &A,
        options: &CallOptions,
    ) -> Result<T, Error>
    where
        A: Serialize + Sync + ?Sized,
        T: DeserializeOwned,
    {
        let arguments = serde_json::value::to_raw_value(arguments).map_err(|source| {
            Error::Json { what: format!("the arguments of {api}.{procedure}"), source }
        })?;
        let answer = self.call_raw(api, procedure, arguments, options).await?;
        serde_json::from_str(answer.get()).map_err(|source| Error::Json {
            what: format!("the answer of {api}.{procedure}"),
            source,
        })
    }

    async fn call_raw(
        &self,
        api: &str,
        procedure: &str,
        arguments: Box<RawValue>,
        options: &CallOptions,
    ) -> Result<Box<RawValue>, Error> {
        let service = self
            .services
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(api)
            .cloned()
            .ok_or_else(|| Error::SchemaNotFound(api.to_owned()))?;
        let timeout = options.timeout.unwrap_or(Duration::from_secs(5));
        let context = Context::new(Origin {
            id: uuid::Uuid::now_v7().to_string(),
            api: api.to_owned(),
            name: procedure.to_owned(),
            version: service.schema().version(),
            deadline: Some(Instant::now() + timeout),
            deliveries: 1,
            ..Origin::default()
        });
        let call = Call { procedure, arguments: &arguments, context: &context };
        match tokio::time::timeout(timeout, service.execute(call)).await {
            Ok(answer) => answer.map_err(|failure| Error::Remote {
                api: api.to_owned(),
                procedure: procedure.to_owned(),
                failure,
            }),
            Err(_) => Err(Error::Timeout {
                api: api.to_owned(),
                procedure: procedure.to_owned(),
                timeout,
            }),
        }
    }
}

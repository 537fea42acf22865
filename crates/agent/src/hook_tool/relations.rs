//! Relations and databags: who sees whom, who may read and write what.
//!
//! | databag | read | write |
//! |---|---|---|
//! | own unit's | always, with this run's writes | always |
//! | remote unit's | if it is or was in scope | never |
//! | own application's | leader; every unit of a peer relation | leader |
//! | remote application's | always | never |

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tutti_charm::hook_tool::{RelationArgument, ToolError};
use tutti_model::agent::{ContextRelation, Databag, RelationId, RelationSettings};

use super::HookContext;

impl HookContext {
    pub(super) fn relation_ids(&self, endpoint: Option<String>) -> Result<Value, ToolError> {
        let own = || self.run.relation.as_ref().map(|relation| relation.endpoint.clone());
        let endpoint = endpoint
            .or_else(own)
            .ok_or_else(|| ToolError::argument("no endpoint name specified"))?;
        let relations = self.context.relations.iter();
        let ids = relations
            .filter(|(id, relation)| relation.endpoint == endpoint && self.is_visible(**id))
            .map(|(id, _)| format!("{endpoint}:{id}"));
        Ok(ids.collect())
    }

    pub(super) fn relation_list(
        &self,
        relation: Option<&RelationArgument>,
        application: bool,
    ) -> Result<Value, ToolError> {
        let (id, relation) = self.relation(relation)?;
        if application {
            return Ok(Value::from(relation.remote_application.as_str()));
        }
        let members = self.run.members.get(&id).into_iter().flatten();
        Ok(members.filter(|member| **member != self.run.unit).map(String::as_str).collect())
    }

    pub(super) fn relation_model_get(
        &self,
        relation: Option<&RelationArgument>,
    ) -> Result<Value, ToolError> {
        let (_, relation) = self.relation(relation)?;
        Ok(json!({ "uuid": relation.remote_model }))
    }

    pub(super) fn relation_get(
        &self,
        relation: Option<&RelationArgument>,
        mut application: bool,
        key: Option<String>,
        member: Option<String>,
    ) -> Result<Value, ToolError> {
        let (id, relation) = self.relation(relation)?;
        let member = match member {
            Some(member) => member,
            None => {
                let (own, member) = self.remote_of_run(id, application)?;
                application = own;
                member
            }
        };
        let databag = self.databag(id, relation, application, &member)?;
        Ok(match key {
            Some(key) => databag.get(&key).map_or(Value::Null, |value| value.as_str().into()),
            None => json!(databag),
        })
    }

    /// Whose databag is meant when none is named: the remote unit of the hook, or its remote application.
    fn remote_of_run(
        &self,
        id: RelationId,
        application: bool,
    ) -> Result<(bool, String), ToolError> {
        let about = self.run.relation.as_ref().filter(|about| about.id == id);
        let member = match about {
            Some(about) => match &about.remote_unit {
                Some(unit) if !application => Some((false, unit.clone())),
                _ => Some((true, about.remote_application.clone())),
            },
            None => None,
        };
        member
            .filter(|(_, name)| !name.is_empty())
            .ok_or_else(|| ToolError::argument("no unit or application specified"))
    }

    fn databag(
        &self,
        id: RelationId,
        relation: &ContextRelation,
        application: bool,
        member: &str,
    ) -> Result<Databag, ToolError> {
        let denied = || ToolError::running("permission denied");
        if application {
            return if member == self.run.application() {
                match self.context.leader || relation.peer {
                    true => Ok(self.with_writes(&relation.application, id, true)),
                    false => Err(denied()),
                }
            } else if member == relation.remote_application {
                Ok(relation.remote.clone())
            } else {
                Err(denied())
            };
        }
        if member == self.run.unit {
            return Ok(self.with_writes(&relation.unit, id, false));
        }
        if let Some(databag) = relation.units.get(member) {
            return Ok(databag.clone());
        }
        // Announced, but its databag is gone meanwhile: then it is empty.
        let announced = self.run.members.get(&id).is_some_and(|members| members.contains(member));
        if announced { Ok(Databag::new()) } else { Err(denied()) }
    }

    /// A databag with what this run has written into it.
    fn with_writes(&self, databag: &Databag, id: RelationId, application: bool) -> Databag {
        let mut databag = databag.clone();
        for (key, value) in self.settings.get(&(id, application)).into_iter().flatten() {
            if value.is_empty() {
                databag.remove(key);
            } else {
                databag.insert(key.clone(), value.clone());
            }
        }
        databag
    }

    pub(super) fn relation_set(
        &mut self,
        relation: Option<&RelationArgument>,
        application: bool,
        settings: BTreeMap<String, String>,
    ) -> Result<(), ToolError> {
        let (id, _) = self.relation(relation)?;
        if application && !self.context.leader {
            return Err(ToolError::running("cannot write relation settings"));
        }
        self.check_size(&settings)?;
        self.settings.entry((id, application)).or_default().extend(settings);
        Ok(())
    }

    /// Keeps of the written settings those that change something, so that nobody is told of nothing.
    pub(super) fn finish_relations(&mut self) {
        for ((id, application), mut settings) in std::mem::take(&mut self.settings) {
            if let Some(relation) = self.context.relations.get(&id) {
                let before = if application { &relation.application } else { &relation.unit };
                settings.retain(|key, value| {
                    before.get(key).map_or("", String::as_str) != value.as_str()
                });
            }
            if !settings.is_empty() {
                let relation = RelationSettings { relation: id, application, settings };
                self.changes.relations.push(relation);
            }
        }
    }

    /// The relation an option names, or the one of the hook.
    pub(super) fn relation(
        &self,
        argument: Option<&RelationArgument>,
    ) -> Result<(RelationId, &ContextRelation), ToolError> {
        let unknown =
            |shown: &str| ToolError::argument(format!("invalid value {shown}: relation not found"));
        let Some(argument) = argument else {
            let about = self.run.relation.as_ref();
            let about = about.ok_or_else(|| ToolError::argument("no relation id specified"))?;
            let shown = format!("\"{}:{}\" for option -r", about.endpoint, about.id);
            return self.visible(about.id).ok_or_else(|| unknown(&shown));
        };
        self.visible(argument.id).ok_or_else(|| unknown(&argument.shown))
    }

    /// A relation, if the charm may know of it.
    pub(super) fn visible(&self, id: RelationId) -> Option<(RelationId, &ContextRelation)> {
        let relation = self.context.relations.get(&id)?;
        self.is_visible(id).then_some((id, relation))
    }

    /// The charm knows the relations it has entered and not seen broken, and the one its hook is about.
    fn is_visible(&self, id: RelationId) -> bool {
        self.run.members.contains_key(&id)
            || self.run.relation.as_ref().is_some_and(|about| about.id == id)
    }
}

//! Schemas of all APIs, as text, with a time to live.

use std::time::Duration;

use redis::{FromRedisValue, RedisResult};

use super::Link;
use crate::codec::keys;

/// Stores schemas, or prolongs their life.
pub(crate) async fn store(
    link: &Link,
    schemas: impl Iterator<Item = (&str, &str)>,
    ttl: Duration,
) -> RedisResult<()> {
    let mut commands = redis::pipe();
    for (api, document) in schemas {
        commands
            .cmd("SET")
            .arg(keys::schema(api))
            .arg(document)
            .arg("EX")
            .arg(ttl.as_secs().max(1));
        commands.cmd("SADD").arg(keys::SCHEMAS).arg(api);
    }
    if commands.is_empty() {
        return Ok(());
    }
    link.run_all(&commands).await.map(|_| ())
}

/// The schemas that are there now, by API.
pub(crate) async fn load(link: &Link) -> RedisResult<Vec<(String, String)>> {
    let mut command = redis::cmd("SMEMBERS");
    command.arg(keys::SCHEMAS);
    let apis: Vec<String> = FromRedisValue::from_redis_value(link.run(&command).await?)?;
    load_some(link, apis).await
}

/// The schemas of these APIs, of those that have one.
pub(crate) async fn load_some(
    link: &Link,
    apis: Vec<String>,
) -> RedisResult<Vec<(String, String)>> {
    if apis.is_empty() {
        return Ok(Vec::new());
    }
    let mut command = redis::cmd("MGET");
    for api in &apis {
        command.arg(keys::schema(api));
    }
    let documents: Vec<Option<String>> =
        FromRedisValue::from_redis_value(link.run(&command).await?)?;
    Ok(apis.into_iter().zip(documents).filter_map(|(api, text)| Some((api, text?))).collect())
}

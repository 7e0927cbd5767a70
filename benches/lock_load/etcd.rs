//! etcd v3 by its JSON gateway: a lock is a key, created if it is absent, deleted if it is ours.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::http::Connection;
use super::pairs::Client;
use super::{Result, Service};

/// A client with a key of its own.
pub struct Key {
    connection: Connection,
    create: Vec<u8>,
    delete: Vec<u8>,
}

/// Clients with a key of their own each.
pub async fn pairs(service: &Service, clients: usize) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    for n in 0..clients {
        let (key, value) = (STANDARD.encode(format!("lock{n}")), STANDARD.encode(format!("host{n}")));
        let create = json!({
            "compare": [{"target": "CREATE", "result": "EQUAL", "key": key, "create_revision": "0"}],
            "success": [{"request_put": {"key": key, "value": value}}],
        });
        let delete = json!({
            "compare": [{"target": "VALUE", "result": "EQUAL", "key": key, "value": value}],
            "success": [{"request_delete_range": {"key": key}}],
        });
        let connection = Connection::open(service.address, "content-type: application/json\r\n").await?;
        keys.push(Key { connection, create: serde_json::to_vec(&create)?, delete: serde_json::to_vec(&delete)? });
    }
    Ok(keys)
}

impl Client for Key {
    async fn pair(&mut self) -> Result<()> {
        succeeded(self.connection.post("/v3/kv/txn", &self.create).await?)?;
        succeeded(self.connection.post("/v3/kv/txn", &self.delete).await?)
    }
}

fn succeeded(answer: &[u8]) -> Result<()> {
    let answer: serde_json::Value = serde_json::from_slice(answer)?;
    if answer["succeeded"] == true { Ok(()) } else { Err(format!("a transaction did not succeed: {answer}").into()) }
}

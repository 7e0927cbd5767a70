//! Reading the history.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, SqliteConnection};

use crate::lock::name::Owner;

/// How many events one look through the history reads at most: the desk does nothing else meanwhile.
const LOOKED_AT: usize = 20_000;
const PAGE: u32 = 500;

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Of this lock only.
    pub lock: Option<String>,
    /// Of this owner only.
    pub owner: Option<Owner>,
    /// Older than the event with this id.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: usize,
}

/// The newest first.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    query: &Query,
    allowed: &dyn Fn(&str) -> bool,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let mut found = Vec::new();
    let mut before = query.before.unwrap_or(i64::MAX);
    let mut looked_at = 0;
    while found.len() < query.limit && looked_at < LOOKED_AT {
        let page = page(connection, query, before).await?;
        let Some(oldest) = page.last() else { break };
        before = oldest.try_get("id")?;
        looked_at += page.len();
        let is_last = page.len() < PAGE as usize;
        for row in page {
            if found.len() < query.limit && allowed(row.try_get("lock")?) {
                found.push(row);
            }
        }
        if is_last {
            break;
        }
    }
    Ok(found)
}

async fn page(connection: &mut SqliteConnection, query: &Query, before: i64) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let mut sql = QueryBuilder::new("SELECT id, at, lock, number, owner, kind, details FROM event WHERE id < ");
    sql.push_bind(before);
    if let Some(lock) = &query.lock {
        sql.push(" AND lock = ").push_bind(lock);
    }
    if let Some(owner) = &query.owner {
        // An id that knows case is kept as it is written.
        sql.push(" AND owner IN (").push_bind(owner.key()).push(", ").push_bind(owner.as_str()).push(")");
    }
    sql.push(" ORDER BY id DESC LIMIT ").push_bind(PAGE);
    sql.build().fetch_all(connection).await
}

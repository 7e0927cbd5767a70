//! `pull-cluster list`: what is where, and who has said that it is good.

use serde::Serialize;

use super::Site;
use crate::cluster::pull::time_of;
use crate::cluster::signature::Verifier;
use crate::cluster::store::Store;
use crate::cluster::tree::Level;
use crate::error::{Error, Result};
use crate::exit::{Exit, out};
use crate::sys::clock::Moment;

#[derive(Serialize)]
struct Release {
    #[serde(rename = "release")]
    name: String,
    development: Option<String>,
    production: Option<String>,
    clusters: Vec<Entry>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    sequence: u64,
    kind: String,
    files: usize,
    bytes: u64,
    expires: String,
    age_seconds: Option<i64>,
    confirmed: Vec<Confirmed>,
}

#[derive(Serialize)]
struct Confirmed {
    host: String,
    time: String,
}

pub fn run(site: &Site, json: bool) -> Result<Exit> {
    let store = site.store()?;
    let verifier = Verifier::load(&site.public_key())?;
    let mut releases = Vec::new();
    for release in store.releases()? {
        releases.push(look(&store, release, &verifier, site.now)?);
    }
    let is_sound = releases.iter().all(|release| release.problems.is_empty());
    if json {
        let text = serde_json::to_string_pretty(&releases).map_err(|why| Error::failed("write", "the list", why))?;
        out(text);
    } else if releases.is_empty() {
        out("nothing is published yet; pull-cluster pull publishes to development");
    } else {
        releases.iter().for_each(print);
    }
    Ok(if is_sound { Exit::Done } else { Exit::Failed })
}

fn look(store: &Store, release: String, verifier: &Verifier, now: Moment) -> Result<Release> {
    let mut problems = Vec::new();
    let mut level = |level| match store.pointed(&release, level, verifier) {
        Ok(found) => found.map(|(pointer, _)| pointer.id),
        Err(error) => {
            problems.push(error.to_string());
            None
        }
    };
    let (development, production) = (level(Level::Development), level(Level::Production));
    let mut clusters = Vec::new();
    for id in store.ids(&release)? {
        match store.cluster(&release, &id, verifier) {
            Ok((cluster, _)) => clusters.push(Entry {
                age_seconds: age(&id, now),
                sequence: cluster.sequence,
                kind: cluster.kind.to_string(),
                files: cluster.files.len(),
                bytes: cluster.size(),
                confirmed: confirmed(store, &id)?,
                expires: cluster.expires,
                id,
            }),
            Err(error) => problems.push(error.to_string()),
        }
    }
    clusters.sort_by_key(|entry| std::cmp::Reverse(entry.sequence));
    Ok(Release { name: release, development, production, clusters, problems })
}

fn confirmed(store: &Store, id: &str) -> Result<Vec<Confirmed>> {
    let all = store.confirmations(id)?;
    Ok(all.into_iter().map(|one| Confirmed { host: one.host, time: one.time }).collect())
}

/// Seconds since the pull that the id tells of.
fn age(id: &str, now: Moment) -> Option<i64> {
    Some((now - time_of(id)?).num_seconds())
}

fn print(release: &Release) {
    let or_none = |id: &Option<String>| id.clone().unwrap_or_else(|| "none".into());
    let (development, production) = (or_none(&release.development), or_none(&release.production));
    out(format!("{}: development {development}, production {production}", release.name));
    for entry in &release.clusters {
        let hosts: Vec<&str> = entry.confirmed.iter().map(|one| one.host.as_str()).collect();
        let hosts = if hosts.is_empty() { "nobody".into() } else { hosts.join(" ") };
        let age = entry.age_seconds.map(|age| format!(", {} old", span(age))).unwrap_or_default();
        let (id, sequence, bytes) = (&entry.id, entry.sequence, size(entry.bytes));
        let expires = &entry.expires;
        out(format!("  {id}  sequence {sequence}, {bytes}{age}, expires {expires}, confirmed by {hosts}"));
    }
    for problem in &release.problems {
        out(format!("  problem: {problem}"));
    }
}

fn span(seconds: i64) -> String {
    match seconds {
        ..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Bytes for people, in powers of ten with one decimal.
pub fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => {
            let tenths = (u128::from(bytes) * 10 + u128::from(unit / 2)) / u128::from(*unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_for_people() {
        assert_eq!((size(8_300_000), size(999), size(1_950)), ("8.3 MB".into(), "999 bytes".into(), "2.0 kB".into()));
        assert_eq!((span(7200), span(86_400 * 3)), ("2 h".into(), "3 d".into()));
        let now = crate::sys::clock::parse("2026-11-21T02:00:08Z").unwrap();
        assert_eq!((age("20261121T020007Z", now), age("x", now)), (Some(1), None));
    }
}

//! What a client of dlmengine's asks for, read from bodies and queries: pure.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Version;
use crate::lock::server::http::Denied;
use crate::lock::server::legacy::Shown;
use crate::lock::wire::FaultKind;
use crate::sys::glob;

/// What stands behind the question mark, in its order; a name may come more than once.
pub type Pairs = Vec<(String, String)>;

/// What is wrong with a request.
fn wrong(words: impl std::fmt::Display) -> Denied {
    Denied::new(FaultKind::BadRequest, words)
}

/// v1 wraps what it says.
#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Acquire {
    acquired_by: String,
}

#[derive(Deserialize)]
struct Release {
    acquired_by: Option<String>,
    #[serde(default)]
    force: bool,
}

/// Who asks for the lock.
///
/// # Errors
/// What is not understood.
pub fn acquired_by(version: Version, body: &[u8]) -> Result<String, Denied> {
    unwrapped::<Acquire>(version, body).map(|acquire| acquire.acquired_by)
}

/// Who gives it back, if it is said: v1 can, v2 sends no body and one that is sent all the same means nothing.
///
/// # Errors
/// What is not understood, or done in another way here.
pub fn released_by(version: Version, body: &[u8]) -> Result<Option<String>, Denied> {
    let is_null = body.trim_ascii() == b"null";
    if version == Version::V2 || body.is_empty() || is_null {
        return Ok(None);
    }
    let release: Release = unwrapped(version, body)?;
    if release.force {
        let words = "refusing force: a release by force needs a name and a reason; use patch-lock force-release";
        return Err(Denied::new(FaultKind::Forbidden, words));
    }
    Ok(release.acquired_by)
}

fn unwrapped<T: DeserializeOwned>(version: Version, body: &[u8]) -> Result<T, Denied> {
    match version {
        Version::V1 => serde_json::from_slice(body).map(|Data { data }| data),
        Version::V2 => serde_json::from_slice(body),
    }
    .map_err(|why| wrong(format_args!("cannot understand the body: {why}")))
}

/// Which parts of a lock are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    /// The name of the lock.
    pub id: bool,
    /// The owner.
    pub acquired_by: bool,
    /// Since when.
    pub acquired_since: bool,
}

impl Fields {
    /// All of them.
    pub const ALL: Self = Self { id: true, acquired_by: true, acquired_since: true };
    const NONE: Self = Self { id: false, acquired_by: false, acquired_since: false };

    /// Reads `fields=`; other words of the query are of no concern here.
    ///
    /// # Errors
    /// The field that there is not.
    pub fn read(pairs: &Pairs) -> Result<Self, Denied> {
        let mut wanted = Self::NONE;
        for (_, field) in pairs.iter().filter(|(name, _)| name == "fields") {
            match field.as_str() {
                "id" => wanted.id = true,
                "acquired_by" => wanted.acquired_by = true,
                "acquired_since" => wanted.acquired_since = true,
                other => {
                    return Err(wrong(format_args!(
                        "unknown field {other:?}; there are id, acquired_by and acquired_since"
                    )));
                }
            }
        }
        Ok(if wanted == Self::NONE { Self::ALL } else { wanted })
    }
}

/// Which locks are wanted, and which page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Which parts of each.
    pub fields: Fields,
    lock_id: Option<String>,
    order: Order,
    page: usize,
    limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

impl Listing {
    /// Reads a query.
    ///
    /// # Errors
    /// What is not understood, or out of range.
    pub fn read(pairs: &Pairs) -> Result<Self, Denied> {
        let mut listing =
            Self { fields: Fields::read(pairs)?, lock_id: None, order: Order::Ascending, page: 0, limit: 10 };
        for (name, value) in pairs {
            match name.as_str() {
                "lock_id" => listing.lock_id = Some(pattern(value)?),
                "sort" if value != "id" => return Err(wrong(format_args!("cannot sort by {value:?}, only by id"))),
                "sort_order" => {
                    listing.order = match value.as_str() {
                        "ascending" => Order::Ascending,
                        "descending" => Order::Descending,
                        _ => return Err(wrong("sort_order is ascending or descending")),
                    }
                }
                "page" => listing.page = value.parse().map_err(|_| wrong("page is a number from 0"))?,
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (10..=1000).contains(limit));
                    listing.limit = limit.ok_or_else(|| wrong("limit is a number from 10 to 1000"))?;
                }
                _ => {}
            }
        }
        Ok(listing)
    }

    /// Those of all that are on the page, and how many fit in all.
    pub fn choose(&self, mut all: Vec<Shown>) -> (Vec<Shown>, usize) {
        if let Some(pattern) = &self.lock_id {
            all.retain(|shown| glob::fits_exactly(pattern, &shown.lock));
        }
        all.sort_by(|a, b| (&a.lock, &a.owner).cmp(&(&b.lock, &b.owner)));
        if self.order == Order::Descending {
            all.reverse();
        }
        let count = all.len();
        let page = all.into_iter().skip(self.page.saturating_mul(self.limit)).take(self.limit);
        (page.collect(), count)
    }
}

/// A regular expression that says no more than a shell pattern can: text, `.`, `.*`, `.+`, `\` before a mark, `^`, `$`. What a
/// stranger may make us search by is matched in a time that he cannot stretch.
///
/// # Errors
/// If it says more.
fn pattern(expression: &str) -> Result<String, Denied> {
    let (begins, rest) = expression.strip_prefix('^').map_or((false, expression), |rest| (true, rest));
    let is_anchor = rest.ends_with('$') && !rest.ends_with(r"\$");
    let rest = if is_anchor { &rest[..rest.len() - 1] } else { rest };
    let mut pattern = String::from(if begins { "" } else { "*" });
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('.', Some('*')) => {
                chars.next();
                pattern.push('*');
            }
            ('.', Some('+')) => {
                chars.next();
                pattern.push_str("?*");
            }
            ('.', _) => pattern.push('?'),
            ('\\', Some(&mark)) if mark.is_ascii_punctuation() && !"*?".contains(mark) => {
                chars.next();
                pattern.push(mark);
            }
            _ if r"\*+?()[]{}|^$".contains(c) => return Err(too_much(expression)),
            _ => pattern.push(c),
        }
    }
    if !is_anchor {
        pattern.push('*');
    }
    Ok(pattern)
}

fn too_much(expression: &str) -> Denied {
    let shown: String = expression.chars().take(40).collect();
    wrong(format_args!(r"cannot search by {shown:?}: lock_id takes text, ., .*, .+, \., ^ and $ only"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock;

    fn pairs(text: &str) -> Pairs {
        let halves = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_string(), value.to_string()));
        text.split('&').filter_map(halves).collect()
    }

    fn shown(lock: &str) -> Shown {
        Shown { lock: lock.into(), owner: "web01".into(), since: clock::parse("2026-11-21T02:00:07Z").unwrap() }
    }

    fn chosen(query: &str) -> (Vec<String>, usize) {
        let all = ["db", "web-1", "web-2", "webby"].map(shown).to_vec();
        let (page, count) = Listing::read(&pairs(query)).unwrap().choose(all);
        (page.into_iter().map(|shown| shown.lock).collect(), count)
    }

    #[test]
    fn each_version_wraps_the_owner_in_its_own_way() {
        assert_eq!(acquired_by(Version::V2, br#"{"acquired_by":"a"}"#).unwrap(), "a");
        assert_eq!(acquired_by(Version::V1, br#"{"data":{"acquired_by":"a","secret":null}}"#).unwrap(), "a");
        for (version, body) in [
            (Version::V1, &br#"{"acquired_by":"a"}"#[..]),
            (Version::V2, br#"{"data":{"acquired_by":"a"}}"#),
            (Version::V2, b""),
            (Version::V2, b"{"),
            (Version::V2, br#"{"acquired_by":7}"#),
        ] {
            let denied = acquired_by(version, body).unwrap_err();
            assert_eq!(denied.fault.kind, FaultKind::BadRequest);
            assert!(denied.fault.error.starts_with("cannot understand the body: "), "{}", denied.fault.error);
        }
    }

    #[test]
    fn w4_the_owner_that_an_old_client_says_at_release_counts_again() {
        let body = br#"{"data":{"acquired_by":"a"}}"#;
        assert_eq!(released_by(Version::V1, body).unwrap().as_deref(), Some("a"));
        assert_eq!(released_by(Version::V2, body).unwrap(), None, "it would mean nothing to dlmengine either");
        for none in [&b""[..], b"null", b" null\n"] {
            assert_eq!(released_by(Version::V1, none).unwrap(), None);
        }
        assert!(released_by(Version::V1, b"nonsense").is_err());
    }

    #[test]
    fn w16_force_without_a_name_and_a_reason_is_refused() {
        let denied = released_by(Version::V1, br#"{"data":{"force":true}}"#).unwrap_err();
        assert_eq!(denied.fault.kind, FaultKind::Forbidden);
        assert!(denied.fault.error.contains("patch-lock force-release"));
    }

    #[test]
    fn w49_any_part_of_a_lock_may_be_left_out_and_an_unknown_one_is_named() {
        assert_eq!(Fields::read(&pairs("")).unwrap(), Fields::ALL);
        assert_eq!(Fields::read(&pairs("fields=id&x=1")).unwrap(), Fields { id: true, ..Fields::NONE });
        let both = Fields::read(&pairs("fields=id&fields=acquired_since")).unwrap();
        assert!(both.id && both.acquired_since && !both.acquired_by);
        assert!(Fields::read(&pairs("fields=secret")).unwrap_err().fault.error.contains("\"secret\""));
    }

    #[test]
    fn a_list_is_searched_sorted_and_cut_into_pages() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(chosen(""), (names(&["db", "web-1", "web-2", "webby"]), 4));
        assert_eq!(chosen("lock_id=web-&sort=id&sort_order=descending"), (names(&["web-2", "web-1"]), 2));
        assert_eq!(chosen("limit=10&page=1"), (names(&[]), 4), "the count is of all, not of the page");
        assert_eq!(chosen("page=18446744073709551615").1, 4);
        for bad in ["limit=9", "limit=1001", "limit=x", "page=-1", "sort=owner", "sort_order=up"] {
            assert!(Listing::read(&pairs(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn w49_a_search_is_no_regular_expression_that_could_run_for_ever() {
        for (expression, glob) in [
            ("web", "*web*"),
            ("^web", "web*"),
            ("web$", "*web"),
            ("^web.*1$", "web*1"),
            (r"^a\.b.$", "a.b?"),
            ("^.+$", "?*"),
            ("", "**"),
            (r"a\$", "*a$*"),
        ] {
            assert_eq!(pattern(expression).unwrap(), glob, "{expression}");
        }
        for bad in ["web*", "(a+)+$", "[", "a|b", r"\d", r"\*", "a{2}", "a?", "a^", r"a\"] {
            assert!(pattern(bad).unwrap_err().fault.error.contains("lock_id"), "{bad}");
        }
    }
}

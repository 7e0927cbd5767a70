//! The order of Debian's version numbers, as dpkg sees it (deb-version(7)).

use std::cmp::Ordering;

/// Compares two version numbers exactly like `dpkg --compare-versions`.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (Version::split(a), Version::split(b));
    a.epoch.cmp(&b.epoch).then_with(|| order(a.upstream, b.upstream)).then_with(|| order(a.revision, b.revision))
}

/// A version number without its epoch, as it stands in file names.
pub fn without_epoch(version: &str) -> &str {
    version.split_once(':').map_or(version, |(_, rest)| rest)
}

/// Whether dpkg would take it: a digit first, nothing but the characters that may be in it.
pub fn is_valid(version: &str) -> bool {
    let Some(rest) = (match version.split_once(':') {
        Some((epoch, rest)) => epoch.parse::<i32>().is_ok_and(|number| number >= 0).then_some(rest),
        None => Some(version),
    }) else {
        return false;
    };
    rest.starts_with(|c: char| c.is_ascii_digit())
        && rest.len() < 200
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-~:".contains(&b))
}

struct Version<'a> {
    epoch: u64,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Version<'a> {
    /// The epoch ends at the first colon, the revision begins after the last hyphen; what is missing counts as empty.
    fn split(text: &'a str) -> Self {
        let text = text.trim();
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
            None => (0, text),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self { epoch, upstream, revision }
    }
}

/// Runs of other characters and runs of digits take turns; the former compare by weight, the latter by number.
fn order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        while is_other(a) || is_other(b) {
            match weight(a.first()).cmp(&weight(b.first())) {
                Ordering::Equal => (a, b) = (rest(a), rest(b)),
                decided => return decided,
            }
        }
        let (x, y) = (number(&mut a), number(&mut b));
        // Without leading zeros the longer number is the larger one, whatever its size.
        match x.len().cmp(&y.len()).then_with(|| x.cmp(y)) {
            Ordering::Equal => {}
            decided => return decided,
        }
    }
    Ordering::Equal
}

fn is_other(text: &[u8]) -> bool {
    text.first().is_some_and(|byte| !byte.is_ascii_digit())
}

fn rest(text: &[u8]) -> &[u8] {
    text.get(1..).unwrap_or_default()
}

/// A tilde comes before the end, the end (and a digit) before letters, letters before everything else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// Takes the digits at the front; leading zeros do not count.
fn number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().position(|byte| *byte != b'0').unwrap_or(digits.len());
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    fn dpkg(a: &str, b: &str) -> Ordering {
        let holds =
            |op| Command::new("dpkg").args(["--compare-versions", a, op, b]).status().unwrap().code() == Some(0);
        if holds("lt") {
            Ordering::Less
        } else if holds("eq") {
            Ordering::Equal
        } else {
            Ordering::Greater
        }
    }

    #[test]
    fn the_cases_that_people_get_wrong() {
        for (a, b) in [
            ("1.0~rc1", "1.0"),
            ("1.0", "1.0-1"),
            ("1.0-1", "1.0-1+deb12u1"),
            ("9", "10"),
            ("1.0a", "1.0+"),
            ("2.0", "1:0.1"),
            ("1.0~~", "1.0~"),
            ("1.0-1~bpo", "1.0-1"),
            ("0.0.9", "0.00.10"),
        ] {
            assert_eq!(compare(a, b), Ordering::Less, "{a} {b}");
            assert_eq!(compare(b, a), Ordering::Greater, "{b} {a}");
        }
        for (a, b) in [("1.0", "1.00"), ("0:1", "1"), ("1-0", "1"), ("1-", "1")] {
            assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
        }
    }

    #[test]
    fn the_versions_of_this_machines_packages_are_ordered_like_dpkg_orders_them() {
        let listed = Command::new("dpkg-query").args(["-Wf", "${Version}\n"]).output().unwrap();
        let text = String::from_utf8(listed.stdout).unwrap();
        let mut all: Vec<&str> = text.lines().collect();
        all.sort_unstable();
        for pair in all.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), dpkg(pair[0], pair[1]), "{pair:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]
        #[test]
        fn random_versions_are_ordered_like_dpkg_orders_them(
            a in "([0-2]:)?[0-9][0-2a-b.+~]{0,6}(-[0-1a.+~]{1,3})?",
            b in "([0-2]:)?[0-9][0-2a-b.+~]{0,6}(-[0-1a.+~]{1,3})?",
        ) {
            prop_assert_eq!(compare(&a, &b), dpkg(&a, &b), "{} {}", a, b);
        }

        #[test]
        fn the_order_is_an_order(a in "[0-1a.+~:-]{0,5}", b in "[0-1a.+~:-]{0,5}", c in "[0-1a.+~:-]{0,5}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b) != Ordering::Greater && compare(&b, &c) != Ordering::Greater {
                prop_assert!(compare(&a, &c) != Ordering::Greater);
            }
        }
    }
}

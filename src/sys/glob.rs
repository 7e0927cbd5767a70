//! Shell patterns over names: `*` for any run of characters, `?` for one; every other character stands for itself.

/// Whether the whole of `name` fits the pattern. Upper and lower case are the same: host names know no difference.
pub fn fits(pattern: &str, name: &str) -> bool {
    fits_exactly(&folded(pattern), &folded(name))
}

/// A name as it is compared where case does not count.
pub fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_lowercase).collect()
}

/// Whether the whole of `name` fits the pattern to the letter: what differs in case alone is another name.
pub fn fits_exactly(pattern: &str, name: &str) -> bool {
    compare(&pattern.chars().collect::<Vec<char>>(), &name.chars().collect::<Vec<char>>())
}

fn compare(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last star turns out not to fit: the star takes one character more.
    let mut last_star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                last_star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((star, taken)) = last_star else { return false };
                last_star = Some((star, taken + 1));
                p = star + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_and_question_marks_stand_for_characters() {
        for (pattern, name) in
            [("web*", "web01"), ("*", ""), ("w?b", "WEB"), ("*a*b*", "xaxxbx"), ("db-??.*", "db-01.x.y")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("web", "web01"), ("?", ""), ("a*b", "abc"), ("", "a"), ("[a]", "a")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn names_that_differ_in_case_alone_are_the_same_or_not() {
        assert!(fits("Web*", "wEB01") && !fits_exactly("Web*", "wEB01") && fits_exactly("Web*", "Web01"));
    }

    #[test]
    fn a_pattern_of_many_stars_is_not_slow() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!fits(&pattern, &"a".repeat(2000)));
    }

    /// The definition, one line a rule, for comparison.
    fn plainly(pattern: &[char], name: &[char]) -> bool {
        match (pattern.first(), name.first()) {
            (None, None) => true,
            (Some('*'), _) => plainly(&pattern[1..], name) || (!name.is_empty() && plainly(pattern, &name[1..])),
            (Some('?'), Some(_)) => plainly(&pattern[1..], &name[1..]),
            (Some(a), Some(b)) if a == b => plainly(&pattern[1..], &name[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_definition(pattern in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            let slow = plainly(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>());
            prop_assert_eq!(fits(&pattern, &name), slow);
        }
    }
}

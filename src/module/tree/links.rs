//! Whether a link stays inside its module. Pure: links are followed by the texts that were read.

use std::collections::HashMap;

/// As many links in a row as the kernel follows (`MAXSYMLINKS`).
const LINKS: usize = 40;

/// Whether the link at this path leads to a place inside the directory, which may be empty; other links on its way are followed.
///
/// # Errors
/// Why not.
pub fn stays_inside(path: &[u8], links: &HashMap<&[u8], &[u8]>) -> Result<(), &'static str> {
    let mut walked: Vec<&[u8]> = Vec::new();
    let mut ahead: Vec<&[u8]> = parts(path);
    let mut followed = 0;
    while let Some(part) = ahead.pop() {
        if part == b".." {
            if walked.pop().is_none() {
                return Err("the link leads out of the module");
            }
            continue;
        }
        walked.push(part);
        let Some(target) = links.get(walked.join(&b'/').as_slice()) else { continue };
        followed += 1;
        if followed > LINKS {
            return Err("its links lead in a circle");
        }
        if target.starts_with(b"/") {
            return Err("the link leads out of the module: it begins with /");
        }
        walked.pop();
        ahead.extend(parts(target));
    }
    Ok(())
}

/// The components, the last first.
fn parts(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(path: &str, links: &[(&str, &str)]) -> bool {
        let links = links.iter().map(|(from, to)| (from.as_bytes(), to.as_bytes())).collect();
        stays_inside(path.as_bytes(), &links).is_ok()
    }

    #[test]
    fn a_link_may_lead_anywhere_inside_and_nowhere_else() {
        assert!(judged("a", &[("a", "b")]));
        assert!(judged("d/a", &[("d/a", "../b/./c")]));
        assert!(judged("d/a", &[("d/a", "..")]));
        assert!(!judged("a", &[("a", "..")]));
        assert!(!judged("d/a", &[("d/a", "../../b")]));
        assert!(!judged("a", &[("a", "/etc/passwd")]));
        assert!(!judged("a", &[("a", "b/../../c")]));
    }

    #[test]
    fn a_link_that_leads_out_by_way_of_another_is_found() {
        let links = [("sub/deep/l", "../.."), ("m", "sub/deep/l/..")];
        assert!(judged("sub/deep/l", &links));
        assert!(!judged("m", &links));
        assert!(!judged("a", &[("a", "b"), ("b", "a")]), "a circle");
    }
}

//! The edit of `/etc/inittab` that orders the maintenance boot, and its undo.
//!
//! Pure, over bytes. `id:3:initdefault:` becomes `id:1:initdefault: # patchflag: was 3`: the line carries all that is needed
//! to make it again what it was, byte for byte, and nothing else in the file is touched.
//!
//! Why a comment may stand there: inittab(5) says that the process field of `initdefault` is ignored, and init.c takes all
//! that follows the third colon as that field; but it drops a line whose process field is longer than 127 bytes, and then
//! asks for a level on the console. Hence the limits here. init reads the file when it starts and again at every change of
//! level, and asks for `initdefault` only at the end of its own boot and of a single-user shell: the running init need not be told
//! (`telinit q`) of either change.

use std::fmt::Write;

/// The level that is meant for maintenance.
const MAINTENANCE: u8 = b'1';
/// Comes before the level that was.
const MARK: &[u8] = b" # patchflag: was ";
/// init.c: a longer process field makes the line invalid.
const LONGEST_PROCESS: usize = 127;
/// init.c reads lines by fgets(3) into 256 bytes: a longer one would be two.
const LONGEST_LINE: usize = 254;
/// utmp(5): a longer id makes the line invalid.
const LONGEST_ID: usize = 4;

/// What the file orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// A boot to this level.
    Normal(String),
    /// A maintenance boot, by us; before that, this level.
    Maintenance(String),
    /// Something that we would not touch, and why.
    Odd(String),
}

/// Reads the order that a file gives.
pub fn state(text: &[u8]) -> Order {
    match find(text) {
        Ok(found) => match found.mark {
            Some(was) => Order::Maintenance(char::from(was).to_string()),
            None => Order::Normal(char::from(found.level).to_string()),
        },
        Err(why) => Order::Odd(why),
    }
}

/// The file with the maintenance boot ordered. Ordering twice changes nothing.
///
/// # Errors
/// What is odd about the file, for a person.
pub fn order(text: &[u8]) -> Result<Vec<u8>, String> {
    let found = find(text)?;
    if found.mark.is_some() {
        return Ok(text.to_vec());
    }
    let line = &text[found.start..found.end];
    let process = line.len() - found.process + MARK.len() + 1;
    if process > LONGEST_PROCESS || line.len() + MARK.len() + 1 > LONGEST_LINE {
        return Err(format!("line {}: it is too long to be marked; shorten what follows initdefault:", found.number));
    }
    let body = line.len() - line_end(line);
    let mut new = text[..found.start].to_vec();
    new.extend_from_slice(&line[..found.at]);
    new.push(MAINTENANCE);
    new.extend_from_slice(&line[found.at + 1..body]);
    new.extend_from_slice(MARK);
    new.push(found.level);
    new.extend_from_slice(&line[body..]);
    new.extend_from_slice(&text[found.end..]);
    Ok(new)
}

/// The file with every order of ours taken back; `None` if there was none. It asks less of the file than [`order`] does:
/// whatever was done to the rest of it meanwhile, our line is ours.
pub fn undo(text: &[u8]) -> Option<Vec<u8>> {
    let mut new = Vec::with_capacity(text.len());
    let mut undone = false;
    for line in text.split_inclusive(|b| *b == b'\n') {
        match Fields::of(line).and_then(|fields| Some((fields.level_at(line)?, fields.mark(line)?))) {
            Some((at, was)) => {
                let end = line_end(line);
                let mark = line.len() - end - MARK.len() - 1;
                new.extend_from_slice(&line[..at]);
                new.push(was);
                new.extend_from_slice(&line[at + 1..mark]);
                new.extend_from_slice(&line[line.len() - end..]);
                undone = true;
            }
            None => new.extend_from_slice(line),
        }
    }
    undone.then_some(new)
}

/// The one line that counts.
struct Found {
    number: usize,
    /// Where the line lies in the text, its end included.
    start: usize,
    end: usize,
    /// Where in the line the level stands, and where the process field begins.
    at: usize,
    process: usize,
    level: u8,
    mark: Option<u8>,
}

fn find(text: &[u8]) -> Result<Found, String> {
    let mut found: Option<Found> = None;
    let mut ids: Vec<&[u8]> = Vec::new();
    let mut start = 0;
    for (index, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
        let number = index + 1;
        let end = start + line.len();
        let Some(fields) = Fields::of(line) else {
            start = end;
            continue;
        };
        if fields.is_default(line) {
            if let Some(first) = &found {
                return Err(format!("lines {} and {number} both say initdefault; keep one of them", first.number));
            }
            let (at, mark) = fields.judge(line, &ids).map_err(|why| format!("line {number}: {why}"))?;
            found = Some(Found { number, start, end, at, process: fields.process, level: line[at], mark });
        }
        ids.push(&line[fields.id..fields.level - 1]);
        start = end;
    }
    found.ok_or_else(|| "no line says initdefault; add one, like id:3:initdefault:".into())
}

/// Where the fields of a line begin. A line that init would not take for an entry has none.
struct Fields {
    id: usize,
    level: usize,
    action: usize,
    process: usize,
}

impl Fields {
    fn of(line: &[u8]) -> Option<Self> {
        let id = line.iter().position(|b| !matches!(b, b' ' | b'\t'))?;
        if matches!(line[id], b'#' | b'\n') {
            return None;
        }
        let after = |from: usize| line[from..].iter().position(|b| *b == b':').map(|colon| from + colon + 1);
        let level = after(id)?;
        let action = after(level)?;
        let process = after(action)?;
        Some(Self { id, level, action, process })
    }

    fn is_default(&self, line: &[u8]) -> bool {
        line[self.action..self.process - 1].eq_ignore_ascii_case(b"initdefault")
    }

    /// Where the level stands, if it is one character.
    fn level_at(&self, line: &[u8]) -> Option<usize> {
        (self.is_default(line) && self.action == self.level + 2).then_some(self.level)
    }

    /// The level that our mark names, on a line that is set to the maintenance level.
    fn mark(&self, line: &[u8]) -> Option<u8> {
        let process = &line[self.process..line.len() - line_end(line)];
        let (was, before) = process.split_last()?;
        let is_ours = before.ends_with(MARK) && is_normal(*was) && line[self.level] == MAINTENANCE;
        is_ours.then_some(*was)
    }

    fn judge(&self, line: &[u8], ids: &[&[u8]]) -> Result<(usize, Option<u8>), String> {
        let id = &line[self.id..self.level - 1];
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err("init ignores it, for its id must have 1 to 4 characters; correct it".into());
        }
        if ids.contains(&id) {
            return Err("init ignores it, for an earlier line has the same id; give it another".into());
        }
        let level = &line[self.level..self.action - 1];
        let Some(at) = self.level_at(line) else {
            let mut shown = String::new();
            let _ = write!(shown, "{}", String::from_utf8_lossy(level));
            return Err(format!("its level is {shown:?}; write one level of 2 to 5"));
        };
        match (line[at], self.mark(line)) {
            (MAINTENANCE, None) => Err("its level is already 1, and not by us; set the normal level".into()),
            (level, mark) if is_normal(level) || mark.is_some() => Ok((at, mark)),
            (level, _) => Err(format!("its level is {:?}; write one level of 2 to 5", char::from(level))),
        }
    }
}

fn is_normal(level: u8) -> bool {
    (b'2'..=b'5').contains(&level)
}

/// How many bytes end the line: newline, with a carriage return before it, or none at the end of the file.
fn line_end(line: &[u8]) -> usize {
    match line {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n' | b'\r'] => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEBIAN: &str =
        "# The default runlevel.\nid:2:initdefault:\n\nsi::sysinit:/etc/init.d/rcS\n~~:S:wait:/sbin/sulogin\n";

    fn ordered(text: &str) -> String {
        String::from_utf8(order(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn the_line_carries_its_own_undo() {
        let new = ordered(DEBIAN);
        assert!(new.contains("\nid:1:initdefault: # patchflag: was 2\n\nsi::"), "{new}");
        assert_eq!(state(new.as_bytes()), Order::Maintenance("2".into()));
        assert_eq!(undo(new.as_bytes()).unwrap(), DEBIAN.as_bytes());
    }

    #[test]
    fn whatever_the_line_looks_like_it_comes_back_byte_for_byte() {
        for text in [
            "id:3:initdefault:",
            "id:3:initdefault:\r\n",
            " \tx:5:InitDefault: # ours\r\nsi::sysinit:/x\r\n",
            "id:3:initdefault: # patchflag: was 2\n",
            "#id:4:initdefault:\nid:3:initdefault:  \n# end",
            "\u{feff}#\nid:3:initdefault:nonsense:with:colons\n",
        ] {
            let new = ordered(text);
            assert_ne!(new, text);
            assert_eq!(undo(new.as_bytes()).unwrap(), text.as_bytes(), "{new:?}");
        }
    }

    #[test]
    fn ordering_twice_is_ordering_once() {
        assert_eq!(ordered(&ordered(DEBIAN)), ordered(DEBIAN));
    }

    #[test]
    fn a_file_that_init_would_read_otherwise_than_a_person_is_refused() {
        for (text, why) in [
            ("", "no line says initdefault"),
            ("id:3: initdefault:\n", "no line says initdefault"),
            ("id:3:initdefault\n", "no line says initdefault"),
            ("a:2:initdefault:\nb:3:initdefault:\n", "lines 1 and 2"),
            ("id:1:initdefault:\n", "already 1"),
            ("id:S:initdefault:\n", "level is 'S'"),
            ("id:6:initdefault:\n", "level is '6'"),
            ("id:35:initdefault:\n", "level is \"35\""),
            ("id::initdefault:\n", "level is \"\""),
            (":3:initdefault:\n", "1 to 4 characters"),
            ("longid:3:initdefault:\n", "1 to 4 characters"),
            ("id:2:wait:/x\nid:3:initdefault:\n", "same id"),
        ] {
            let words = order(text.as_bytes()).unwrap_err();
            assert!(words.contains(why), "{text:?}: {words}");
            assert_eq!(state(text.as_bytes()), Order::Odd(words));
        }
    }

    #[test]
    fn a_line_that_init_would_drop_for_its_length_is_never_written() {
        let fits = format!("id:3:initdefault:{}\n", "x".repeat(LONGEST_PROCESS - MARK.len() - 2));
        assert!(order(fits.as_bytes()).is_ok());
        let over = format!("id:3:initdefault:{}\n", "x".repeat(LONGEST_PROCESS - MARK.len() - 1));
        assert!(order(over.as_bytes()).unwrap_err().contains("too long"));
        let indented = format!("{}id:3:initdefault:\n", " ".repeat(250));
        assert!(order(indented.as_bytes()).is_err());
    }

    #[test]
    fn a_mark_at_a_level_that_somebody_set_since_is_only_a_comment() {
        assert_eq!(undo(b"id:2:initdefault: # patchflag: was 3\n"), None);
        assert_eq!(undo(b"id:1:initdefault: # patchflag: was 9\n"), None);
        assert_eq!(undo(b"id:1:wait: # patchflag: was 3\n"), None);
        assert_eq!(undo(b"#id:1:initdefault: # patchflag: was 3\n"), None);
    }

    #[test]
    fn our_line_is_undone_though_the_file_has_become_odd() {
        let odd = "id:1:initdefault: # patchflag: was 3\nx:5:initdefault:\n";
        assert!(matches!(state(odd.as_bytes()), Order::Odd(_)));
        assert_eq!(undo(odd.as_bytes()).unwrap(), b"id:3:initdefault:\nx:5:initdefault:\n");
    }

    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~]{0,40}",
            "[ \t]{0,3}[a-z0-9~]{1,4}:[0-9S]{0,3}:(wait|respawn|initdefault|sysinit):[ -~]{0,30}",
            "[a-z]{1,4}:[1-5]:initdefault:[ -~]{0,20}( # patchflag: was [1-6])?",
        ]
    }

    proptest! {
        #[test]
        fn undoing_an_order_gives_the_file_back(
            lines in prop::collection::vec(line(), 0..6), end in prop_oneof!["\n", "\r\n"], last in any::<bool>(),
        ) {
            let mut text = lines.join(&end);
            if last { text.push_str(&end); }
            if let Ok(new) = order(text.as_bytes())
                && !matches!(state(text.as_bytes()), Order::Maintenance(_))
            {
                prop_assert_eq!(undo(&new).unwrap(), text.as_bytes());
                prop_assert!(matches!(state(&new), Order::Maintenance(_)));
            }
        }

        #[test]
        fn bytes_of_any_kind_are_no_trouble(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = state(&text);
            if let Ok(new) = order(&text) {
                prop_assert_eq!(undo(&new).unwrap(), text);
            }
        }

        #[test]
        fn a_file_without_a_mark_is_not_touched(text in "[a-z0-9:#\n ]{0,200}") {
            prop_assert_eq!(undo(text.as_bytes()), None);
        }
    }
}

//! Lines out of what scripts say. Pure.
//!
//! Whatever comes, each line of the log begins with our prefix, and nothing in it forges a line or moves a cursor: control characters are
//! written as `\r`, `\e` or `\x07`. All other bytes stay as they are, whether they are text or not.

/// A longer line is logged in pieces.
pub const LIMIT: usize = 64 << 10;

/// What comes in pieces of any size, put together to lines.
#[derive(Debug, Default)]
pub struct Lines {
    /// The line that has no end yet.
    open: Vec<u8>,
}

impl Lines {
    /// Takes a piece, and appends each line that it completes to `log`, after `prefix`. How many.
    pub fn take(&mut self, mut piece: &[u8], prefix: &[u8], log: &mut Vec<u8>) -> u64 {
        let mut count = 0;
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&piece[..end], &piece[end + 1..]);
            piece = rest;
            if self.open.is_empty() && line.len() <= LIMIT {
                write(line, prefix, log);
                count += 1;
            } else {
                count += self.grow(line, prefix, log) + self.end(prefix, log);
            }
        }
        count + self.grow(piece, prefix, log)
    }

    /// The last line need not end; what is there of it is a line. How many.
    pub fn finish(&mut self, prefix: &[u8], log: &mut Vec<u8>) -> u64 {
        if self.open.is_empty() { 0 } else { self.end(prefix, log) }
    }

    fn grow(&mut self, piece: &[u8], prefix: &[u8], log: &mut Vec<u8>) -> u64 {
        self.open.extend_from_slice(piece);
        let (mut count, mut from) = (0, 0);
        while self.open.len() - from > LIMIT {
            let cut = from + cut(&self.open[from..]);
            write(&self.open[from..cut], prefix, log);
            (count, from) = (count + 1, cut);
        }
        self.open.drain(..from);
        count
    }

    fn end(&mut self, prefix: &[u8], log: &mut Vec<u8>) -> u64 {
        write(&self.open, prefix, log);
        self.open.clear();
        1
    }
}

/// Where to cut a line that is too long: not in the middle of a character.
fn cut(line: &[u8]) -> usize {
    let begins = |at: &usize| line[*at] & 0xC0 != 0x80;
    (LIMIT - 3..=LIMIT).rev().find(begins).unwrap_or(LIMIT)
}

/// One line with its prefix, without what is blank at its end.
pub fn write(line: &[u8], prefix: &[u8], log: &mut Vec<u8>) {
    log.extend_from_slice(prefix);
    let line = line.trim_ascii_end();
    if is_plain(line) {
        log.extend_from_slice(line);
    } else {
        escape(line, log);
    }
    log.push(b'\n');
}

/// Whether nothing in it needs a second look. No early end: what is nearly always true is found out by the whole line at once.
fn is_plain(line: &[u8]) -> bool {
    // 0xC2 begins U+0080 to U+009F, the control characters of the 8-bit sets.
    let look = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f || byte == 0xc2;
    !line.iter().fold(false, |found, byte| found | look(*byte)) && std::str::from_utf8(line).is_ok()
}

/// Control characters of text, and of the 8-bit sets in what is no text, are made visible.
fn escape(line: &[u8], log: &mut Vec<u8>) {
    for chunk in line.utf8_chunks() {
        let mut plain = 0;
        let text = chunk.valid();
        for (at, c) in text.char_indices().filter(|(_, c)| c.is_control() && *c != '\t') {
            log.extend_from_slice(&text.as_bytes()[plain..at]);
            plain = at + c.len_utf8();
            visible(u32::from(c), log);
        }
        log.extend_from_slice(&text.as_bytes()[plain..]);
        for byte in chunk.invalid() {
            if (0x80..0xa0).contains(byte) { visible(u32::from(*byte), log) } else { log.push(*byte) }
        }
    }
}

fn visible(code: u32, log: &mut Vec<u8>) {
    match code {
        0x0d => log.extend_from_slice(b"\\r"),
        0x1b => log.extend_from_slice(b"\\e"),
        _ => log.extend_from_slice(format!("\\x{code:02x}").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn logged(pieces: &[&[u8]]) -> (String, u64) {
        let (mut lines, mut log) = (Lines::default(), Vec::new());
        let mut count: u64 = pieces.iter().map(|piece| lines.take(piece, b"> ", &mut log)).sum();
        count += lines.finish(b"> ", &mut log);
        (String::from_utf8_lossy(&log).into_owned(), count)
    }

    #[test]
    fn each_line_has_its_prefix_and_the_last_need_not_end() {
        assert_eq!(logged(&[b"a\nb", b"c\n", b"\nd"]), ("> a\n> bc\n> \n> d\n".into(), 4));
        assert_eq!(logged(&[b""]), (String::new(), 0));
    }

    #[test]
    fn w22_bytes_that_are_no_text_stay_and_those_that_move_a_cursor_do_not() {
        let (mut lines, mut log) = (Lines::default(), Vec::new());
        lines.take(b"\xff\xe4 \xc3\xa4 \x9b2J \xc2\x9b2J \x1b[2J a\rb \0 \x7f\t.\r\n", b"", &mut log);
        assert_eq!(log, b"\xff\xe4 \xc3\xa4 \\x9b2J \\x9b2J \\e[2J a\\rb \\x00 \\x7f\t.\n");
    }

    #[test]
    fn w41_a_carriage_return_forges_no_line() {
        let said = b"x\r2026-11-21 07:24:46,900UTC - INFO - MainThread - all is well\n";
        assert_eq!(logged(&[said]).0.matches("\\r").count(), 1);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let long = format!("{}äöü\n", "x".repeat(LIMIT - 1));
        let (text, count) = logged(&[long.as_bytes()]);
        assert_eq!(count, 2);
        assert_eq!(text, format!("> {}\n> äöü\n", "x".repeat(LIMIT - 1)));
        let endless = vec![0xbf; 3 * LIMIT + 1];
        assert_eq!(logged(&[&endless]).1, 4);
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_make_the_same_lines(said: Vec<u8>, at in 0_usize..64) {
            let at = at.min(said.len());
            prop_assert_eq!(logged(&[&said]), logged(&[&said[..at], &said[at..]]));
        }

        #[test]
        fn nothing_but_line_ends_and_tabs_is_left_of_control(said: Vec<u8>) {
            let (text, count) = logged(&[&said]);
            let control = text.chars().filter(|c| c.is_control() && *c != '\t').count();
            prop_assert_eq!(control as u64, count);
        }
    }
}

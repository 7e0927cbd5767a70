//! Why the kernel would not start a script that is there and executable: its first bytes, execve(2). Pure.

/// What is wrong with a program that begins with these bytes and could not be executed; `None` where they do not tell.
pub fn fault(head: &[u8]) -> Option<String> {
    if head.starts_with(b"\x7fELF") {
        return Some("it is a program of another machine, or lacks its loader".into());
    }
    let Some(line) = head.strip_prefix(b"#!") else {
        return Some("it has no #! line; write one, like #!/bin/sh".into());
    };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.ends_with(b"\r") {
        return Some(
            "its lines end as on Windows, which makes the end part of the interpreter's name; convert it".into(),
        );
    }
    let line = String::from_utf8_lossy(line);
    let program = line.split_whitespace().next()?;
    Some(format!("can {program} of its #! line be executed, by this user, on this file system?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells_what_is_wrong() {
        assert!(fault(b"echo hello\n").unwrap().contains("no #! line"));
        assert!(fault(b"").unwrap().contains("no #! line"));
        assert!(fault(b"#!/bin/sh\r\n").unwrap().contains("Windows"));
        assert!(fault(b"#! /usr/bin/nothere -x\n").unwrap().contains("/usr/bin/nothere of its"));
        assert!(fault(b"\x7fELF\x02").unwrap().contains("another machine"));
        assert_eq!(fault(b"#!"), None);
    }
}

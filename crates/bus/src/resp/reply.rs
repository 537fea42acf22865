//! Replies, appended to a buffer.

/// The kinds of a RESP2 reply. Arrays are their length, and then as many replies.
pub trait Reply {
    /// A short text such as `OK`. Line breaks would end it and become spaces.
    fn status(&mut self, text: &str);
    /// An error; `text` begins with a word in capitals that clients look at. Line breaks become spaces.
    fn error(&mut self, text: &str);
    /// A number.
    fn integer(&mut self, number: i64);
    /// Any bytes.
    fn bulk(&mut self, bytes: &[u8]);
    /// The bulk that is not there.
    fn null(&mut self);
    /// The head of an array of so many replies.
    fn array(&mut self, length: usize);
    /// The array that is not there: nothing came in time.
    fn null_array(&mut self);
}

impl Reply for Vec<u8> {
    fn status(&mut self, text: &str) {
        self.push(b'+');
        line(self, text);
    }

    fn error(&mut self, text: &str) {
        self.push(b'-');
        line(self, text);
    }

    fn integer(&mut self, number: i64) {
        self.push(b':');
        if number < 0 {
            self.push(b'-');
        }
        digits(self, number.unsigned_abs());
        self.extend_from_slice(b"\r\n");
    }

    fn bulk(&mut self, bytes: &[u8]) {
        self.push(b'$');
        digits(self, bytes.len() as u64);
        self.extend_from_slice(b"\r\n");
        self.extend_from_slice(bytes);
        self.extend_from_slice(b"\r\n");
    }

    fn null(&mut self) {
        self.extend_from_slice(b"$-1\r\n");
    }

    fn array(&mut self, length: usize) {
        self.push(b'*');
        digits(self, length as u64);
        self.extend_from_slice(b"\r\n");
    }

    fn null_array(&mut self) {
        self.extend_from_slice(b"*-1\r\n");
    }
}

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

/// Decimal digits without an allocation: every reply has some.
fn digits(out: &mut Vec<u8>, mut number: u64) {
    let mut buffer = [0; 20];
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&buffer[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_written_as_redis_writes_them() {
        let mut out = Vec::new();
        out.array(6);
        out.status("OK");
        out.error("ERR two\r\nlines");
        out.integer(i64::MIN);
        out.bulk(b"a\r\nb");
        out.null();
        out.null_array();
        let expected = b"*6\r\n+OK\r\n-ERR two  lines\r\n:-9223372036854775808\r\n$4\r\na\r\nb\r\n$-1\r\n*-1\r\n";
        assert_eq!(out, expected);
    }
}

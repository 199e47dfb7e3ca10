//! Where a chunked body ends (RFC 9112 7.1), read strictly: CRLF only, sizes of hex digits only, extensions and trailers
//! bounded.

use super::head::is_token;

pub struct ChunkReader {
    at: At,
    /// Octets of the chunk that are to come, or digits of its size so far.
    left: u64,
    digits: u8,
    /// Of the line that is being read.
    line: Vec<u8>,
    /// Of all extensions and trailers so far.
    extra: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Size,
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    Trailer,
    TrailerEnd,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Chunks {
    /// All octets are of the body, and there is more of it.
    Go,
    /// The body ends after so many of these octets.
    End(usize),
    Bad,
}

impl ChunkReader {
    pub fn new() -> ChunkReader {
        ChunkReader { at: At::Size, left: 0, digits: 0, line: Vec::new(), extra: 0 }
    }

    /// Give it each octet once.
    pub fn read(&mut self, octets: &[u8]) -> Chunks {
        let mut at = 0;
        while at < octets.len() {
            if self.at == At::Data {
                let taken = self.left.min((octets.len() - at) as u64);
                self.left -= taken;
                at += taken as usize;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            match self.step(octets[at]) {
                Some(false) => {}
                Some(true) => return Chunks::End(at + 1),
                None => return Chunks::Bad,
            }
            at += 1;
        }
        Chunks::Go
    }

    /// Some(true): that was the last one. None: it is wrong.
    fn step(&mut self, octet: u8) -> Option<bool> {
        match (self.at, octet) {
            (At::Size, digit) if digit.is_ascii_hexdigit() && self.digits < 16 => {
                self.left = self.left << 4 | u64::from(char::from(digit).to_digit(16)?);
                self.digits += 1;
            }
            (At::Size, b';') if self.digits > 0 => self.at = At::Extension,
            (At::Size | At::Extension, b'\r') if self.digits > 0 => self.at = At::SizeEnd,
            (At::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.count()?,
            (At::SizeEnd, b'\n') => {
                self.digits = 0;
                self.at = if self.left > 0 { At::Data } else { At::Trailer };
            }
            (At::DataCr, b'\r') => self.at = At::DataLf,
            (At::DataLf, b'\n') => self.at = At::Size,
            (At::Trailer, b'\r') => self.at = At::TrailerEnd,
            (At::Trailer, b'\t' | b' '..=b'~' | 0x80..) => {
                self.count()?;
                self.line.push(octet);
            }
            (At::TrailerEnd, b'\n') => {
                let line = std::mem::take(&mut self.line);
                if line.is_empty() {
                    return Some(true);
                }
                let colon = line.iter().position(|octet| *octet == b':')?;
                is_token(&line[..colon]).then_some(())?;
                self.at = At::Trailer;
            }
            _ => return None,
        }
        Some(false)
    }

    fn count(&mut self) -> Option<()> {
        self.extra += 1;
        (self.extra <= EXTRA_MAX_BYTES).then_some(())
    }
}

const EXTRA_MAX_BYTES: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Chunks {
        let whole = ChunkReader::new().read(text.as_bytes());
        let mut reader = ChunkReader::new();
        for (at, octet) in text.bytes().enumerate() {
            let one = reader.read(&[octet]);
            if one == Chunks::Go {
                continue;
            }
            let ended = if one == Chunks::Bad { Chunks::Bad } else { Chunks::End(at + 1) };
            assert_eq!(ended, whole, "{text:?}");
            break;
        }
        whole
    }

    #[test]
    fn a_body_ends_where_it_ends() {
        for text in ["0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "A;x=\"y\"\r\n0123456789\r\n000\r\nX: y\r\nZ:\r\n\r\n"] {
            assert_eq!(read(text), Chunks::End(text.len()));
            assert_eq!(read(&format!("{text}GET")), Chunks::End(text.len()));
            assert_eq!(read(&text[..text.len() - 1]), Chunks::Go);
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_wrong() {
        for text in [
            "\r\n",
            "5\nhello\r\n",
            "5\r\nhello\n",
            "5\r\nhello!\r\n",
            "5 \r\nhello\r\n",
            " 5\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "-5\r\nhello\r\n",
            "+5\r\nhello\r\n",
            "5;a\nb\r\nhello\r\n",
            "5;a\rb\r\nhello\r\n",
            ";a\r\nhello\r\n",
            "10000000000000005\r\n",
            "0\r\nX\r\n\r\n",
            "0\r\nX : y\r\n\r\n",
            "0\r\n X: y\r\n\r\n",
            "0\r\nX: y\n\r\n",
            "0\r\n\n",
        ] {
            assert_eq!(read(text), Chunks::Bad, "{text:?}");
        }
        assert_eq!(read(&format!("5;{}\r\n", "x".repeat(EXTRA_MAX_BYTES + 1))), Chunks::Bad);
    }
}

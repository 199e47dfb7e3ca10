//! A body that is compressed on its way. What the backend has sent so far never waits in the encoder for what it sends next:
//! an event of a stream arrives when it happens.

use brotli::CompressorWriter;
use flate2::write::GzEncoder;
use hyper::body::{Bytes, Frame};
use std::io::{self, Write};
use std::mem::take;
use std::task::{Context, Poll};
use wire::proxy::Encoding;

/// From where pieces of a body come.
pub trait Pieces {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>>;
}

pub struct Encoded<S> {
    source: S,
    /// None: it has said all.
    encoder: Option<Encoder>,
    /// It may hold something back.
    holds: bool,
    trailers: Option<Frame<Bytes>>,
}

pub enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Br(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl<S: Pieces> Encoded<S> {
    pub fn new(source: S, encoder: Encoder) -> Encoded<S> {
        Encoded { source, encoder: Some(encoder), holds: false, trailers: None }
    }

    pub fn is_over(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            let Some(encoder) = &mut self.encoder else { return Poll::Ready(self.trailers.take().map(Ok)) };
            let out = match self.source.poll(cx) {
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        self.holds = true;
                        encoder.write(&data)
                    }
                    Err(trailers) => {
                        self.trailers = Some(trailers);
                        take(&mut self.encoder).map_or(Ok(Vec::new()), Encoder::finish)
                    }
                },
                Poll::Ready(None) => take(&mut self.encoder).map_or(Ok(Vec::new()), Encoder::finish),
                Poll::Pending if !take(&mut self.holds) => return Poll::Pending,
                Poll::Pending => encoder.flush(),
            };
            match out {
                Ok(out) if out.is_empty() && self.encoder.is_some() && !self.holds => return Poll::Pending,
                Ok(out) if out.is_empty() => {}
                Ok(out) => return Poll::Ready(Some(Ok(Frame::data(out.into())))),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl Encoder {
    /// `level`: 1 to 9.
    pub fn new(encoding: Encoding, level: u8) -> io::Result<Encoder> {
        let level = u32::from(level.clamp(1, 9));
        Ok(match encoding {
            Encoding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(level))),
            Encoding::Br => Encoder::Br(Box::new(CompressorWriter::new(Vec::new(), BUFFER_BYTES, level, WINDOW_LOG))),
            Encoding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level as i32)?;
                encoder.window_log(WINDOW_LOG)?;
                Encoder::Zstd(encoder)
            }
        })
    }

    /// Returns what it gives away of it, as do the others.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<Vec<u8>> {
        self.writer().write_all(octets)?;
        Ok(self.taken())
    }

    pub fn flush(&mut self) -> io::Result<Vec<u8>> {
        self.writer().flush()?;
        Ok(self.taken())
    }

    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Br(encoder) => Ok(encoder.into_inner()),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Encoder::Gzip(encoder) => encoder,
            Encoder::Br(encoder) => encoder,
            Encoder::Zstd(encoder) => encoder,
        }
    }

    fn taken(&mut self) -> Vec<u8> {
        take(match self {
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Br(encoder) => encoder.get_mut(),
            Encoder::Zstd(encoder) => encoder.get_mut(),
        })
    }
}

const BUFFER_BYTES: usize = 16 << 10;
/// 512 KiB, as ngx_brotli has it: memory of a response under way.
const WINDOW_LOG: u32 = 19;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::task::Waker;

    /// None: for a while there is nothing.
    struct Given(Vec<Option<Frame<Bytes>>>);

    impl Pieces for Given {
        fn poll(&mut self, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            if self.0.is_empty() {
                return Poll::Ready(None);
            }
            self.0.remove(0).map_or(Poll::Pending, |frame| Poll::Ready(Some(Ok(frame))))
        }
    }

    /// As far as it goes.
    fn decoded(encoding: Encoding, octets: &[u8]) -> Vec<u8> {
        let mut reader: Box<dyn Read> = match encoding {
            Encoding::Gzip => Box::new(flate2::read::GzDecoder::new(octets)),
            Encoding::Br => Box::new(brotli::Decompressor::new(octets, 4096)),
            Encoding::Zstd => Box::new(zstd::stream::read::Decoder::new(octets).unwrap()),
        };
        let (mut plain, mut piece) = (Vec::new(), [0; 256]);
        while let Ok(count @ 1..) = reader.read(&mut piece) {
            plain.extend(&piece[..count]);
        }
        plain
    }

    #[test]
    fn what_came_is_given_before_what_is_to_come() {
        let mut cx = Context::from_waker(Waker::noop());
        for encoding in [Encoding::Gzip, Encoding::Br, Encoding::Zstd] {
            let data = |text: &'static str| Some(Frame::data(Bytes::from_static(text.as_bytes())));
            let trailers = || Some(Frame::trailers(hyper::HeaderMap::new()));
            let source = Given(vec![data("one"), data(" and two"), None, data(" and three"), None, None, trailers()]);
            let mut body = Encoded::new(source, Encoder::new(encoding, 5).unwrap());
            let mut sent = Vec::new();
            let mut until_pending = |sent: &mut Vec<u8>| {
                let mut ends = 0;
                loop {
                    match body.poll(&mut cx) {
                        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                            Ok(data) => sent.extend(&data[..]),
                            Err(_) => ends += 1,
                        },
                        Poll::Ready(None) => return (ends, body.is_over()),
                        Poll::Ready(Some(Err(error))) => panic!("{error}"),
                        Poll::Pending => return (ends, false),
                    }
                }
            };
            // The source says once more that there is nothing, after what was held back is out.
            assert_eq!(until_pending(&mut sent), (0, false));
            assert_eq!(decoded(encoding, &sent), b"one and two and three", "{encoding:?}");
            assert_eq!(until_pending(&mut sent), (1, true), "{encoding:?}");
            assert_eq!(decoded(encoding, &sent), b"one and two and three", "{encoding:?}");
        }
    }

    #[test]
    fn large_bodies_come_out_as_they_went_in() {
        let text: Vec<u8> = (0..300_000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
        for encoding in [Encoding::Gzip, Encoding::Br, Encoding::Zstd] {
            for level in [1, 9] {
                let mut encoder = Encoder::new(encoding, level).unwrap();
                let mut sent = Vec::new();
                for piece in text.chunks(10_000) {
                    sent.extend(encoder.write(piece).unwrap());
                }
                sent.extend(encoder.finish().unwrap());
                assert!(sent.len() < text.len() / 4 * 3, "{encoding:?}: {}", sent.len());
                assert!(decoded(encoding, &sent) == text, "{encoding:?}");
            }
        }
    }
}

//! Small files in one go: inflating a whole buffer takes half as long as inflating a stream.

use std::io::{Read, Seek, SeekFrom};

use libdeflater::{Crc, Decompressor};
use zip::CompressionMethod;
use zip::read::{OwnedZipFileEntry, ZipReadOptions};

use super::Reader;

/// Longer files are read as streams, so that what a header says cannot cost memory.
const BYTES_MAX: u64 = 1 << 20;

/// The content of one small file after the other.
pub(super) struct Whole {
    decompressor: Decompressor,
    packed: Vec<u8>,
    content: Vec<u8>,
}

impl Whole {
    pub(super) fn new() -> Whole {
        Whole { decompressor: Decompressor::new(), packed: Vec::new(), content: Vec::new() }
    }

    /// The content of an entry that is small and exactly as long as its header says, with the right checksum. What is
    /// wrong with another shows when it is read as a stream.
    pub(super) fn content(
        &mut self,
        source: &OwnedZipFileEntry,
        reader: &mut Reader,
    ) -> Option<&[u8]> {
        let small = |bytes: u64| usize::try_from(bytes).ok().filter(|_| bytes <= BYTES_MAX);
        let (size, packed_size) = (small(source.size())?, small(source.compressed_size())?);
        if source.compression() != CompressionMethod::Deflated {
            return None;
        }
        let start =
            source.as_ref().with_reader(reader, ZipReadOptions::new()).ok()?.data_start()?;
        self.packed.resize(packed_size, 0);
        self.content.resize(size, 0);
        reader.seek(SeekFrom::Start(start)).ok()?;
        reader.read_exact(&mut self.packed).ok()?;
        let length = self.decompressor.deflate_decompress(&self.packed, &mut self.content).ok()?;
        let mut checksum = Crc::new();
        checksum.update(&self.content);
        (length == size && checksum.sum() == source.crc32()).then_some(&self.content)
    }
}

//! Splitting and merging a recording in memory, with what has to hold of both whatever comes in.

use p2pgate::mpeg::{Class, MergeError, Merger, Part, SegmentWriter, Selection, Span, Splitter, Step};

/// The longest runs that `next` gives of the same kind, with `data` coming in pieces whose sizes `piece` gives.
fn runs_of<T: Copy + PartialEq>(
    data: &[u8],
    selection: Selection,
    mut piece: impl FnMut() -> usize,
    next: impl Fn(&mut Splitter, &[u8], bool) -> Option<(T, usize)>,
) -> (Vec<(T, usize)>, Splitter) {
    let mut splitter = Splitter::with(selection, false);
    let mut runs: Vec<(T, usize)> = Vec::new();
    let (mut start, mut end) = (0, 0);
    while start < data.len() {
        end = data.len().min(end + piece());
        while let Some((kind, len)) = next(&mut splitter, &data[start..end], end == data.len()) {
            assert!(len > 0 && start + len <= end);
            start += len;
            match runs.last_mut() {
                Some((back, sum)) if *back == kind => *sum += len,
                _ => runs.push((kind, len)),
            }
        }
        assert!(end - start < selection.max_lag(), "{} bytes held back", end - start);
    }
    assert_eq!(splitter.counts().total(), data.len() as u64);
    (runs, splitter)
}

/// What the splitter says, as runs of the same part.
pub fn runs(
    data: &[u8],
    selection: Selection,
    piece: impl FnMut() -> usize,
) -> (Vec<(Part, usize)>, Splitter) {
    runs_of(data, selection, piece, |splitter, window, last| splitter.next_part(window, last))
}

/// What the splitter says of each byte.
pub fn parts(data: &[u8], selection: Selection, piece: impl FnMut() -> usize) -> (Vec<Part>, Splitter) {
    let (runs, splitter) = runs(data, selection, piece);
    (runs.into_iter().flat_map(|(part, len)| std::iter::repeat_n(part, len)).collect(), splitter)
}

/// The segments: the longest runs of one class.
pub fn segments(data: &[u8], selection: Selection, piece: impl FnMut() -> usize) -> (Vec<Span>, Splitter) {
    let next = |splitter: &mut Splitter, window: &[u8], last| {
        splitter.next(window, last).map(|Span { class, len }| (class, len))
    };
    let (runs, splitter) = runs_of(data, selection, piece, next);
    (runs.into_iter().map(|(class, len)| Span { class, len }).collect(), splitter)
}

/// The two files of a split recording, written `piece` bytes at a time.
pub fn files(data: &[u8], segments: &[Span], piece: usize) -> [Vec<u8>; 2] {
    let mut files = [Class::Sealed, Class::Rest].map(|class| SegmentWriter::header(class).to_vec());
    let mut writer = SegmentWriter::new();
    let mut left = data;
    for span in segments {
        let (segment, rest) = left.split_at(span.len);
        for bytes in segment.chunks(piece) {
            let file = &mut files[usize::from(span.class == Class::Rest)];
            file.extend_from_slice(writer.record(span.class, bytes).as_ref());
            file.extend_from_slice(bytes);
        }
        left = rest;
    }
    let end = writer.finish();
    files.iter_mut().for_each(|file| file.extend_from_slice(end.as_ref()));
    files
}

/// Merges, reading `piece` bytes at a time.
pub fn merge(files: &[Vec<u8>; 2], piece: usize) -> Result<Vec<u8>, MergeError> {
    let (mut merger, mut merged) = (Merger::new(), Vec::new());
    let mut left = [&files[0][..], &files[1][..]];
    loop {
        match merger.step()? {
            Step::Read(class) => {
                let file = &mut left[usize::from(class == Class::Rest)];
                let taken = merger.read(class, &file[..file.len().min(piece)])?;
                *file = &file[taken..];
            }
            Step::Copy(class, len) => {
                let file = &mut left[usize::from(class == Class::Rest)];
                let bytes = &file[..file.len().min(piece).min(len as usize)];
                merger.copied(class, bytes)?;
                merged.extend_from_slice(bytes);
                *file = &file[bytes.len()..];
            }
            Step::Done => break,
        }
    }
    assert_eq!(left, [&[][..], &[]], "merging left bytes");
    Ok(merged)
}

//! The two files of a split recording, written and put together again (row V10b).

use crate::memory::{Object, Out, Outcome, bytes, bytes_mut, code, end, live, place, usable};
use crate::result::*;
use crate::splitter::{class_number, class_of};
use p2pgate::mpeg::{END_LEN, HEADER_LEN, MAX_RECORD_LEN, MergeError, Merger, SegmentWriter, Step};

/// Most bytes that go before a record of a split recording's file: its file's header and its end are no longer than P2PGATE_SEGMENT_BUFFER.
pub const P2PGATE_SEGMENT_RECORD: usize = 20;
/// A buffer of so many bytes holds a file's header, a record's header or a file's end.
pub const P2PGATE_SEGMENT_BUFFER: usize = 60;
/// Words of a segment writer.
pub const P2PGATE_WRITER_WORDS: usize = 18;
/// Words of a merger.
pub const P2PGATE_MERGER_WORDS: usize = 56;

/// Give bytes of the class's file to p2pgate_merger_read.
pub const P2PGATE_MERGE_READ: u32 = 0;
/// Copy bytes from the class's file to the recording, and give them to p2pgate_merger_copied.
pub const P2PGATE_MERGE_COPY: u32 = 1;
/// The recording is complete and right; both files have to end here.
pub const P2PGATE_MERGE_DONE: u32 = 2;

/// Writes a split recording: initialise it where it stays.
#[repr(C)]
pub struct p2pgate_writer_t {
    /// Not for the application.
    pub words: [u64; P2PGATE_WRITER_WORDS],
}

/// Puts a split recording together: initialise it where it stays.
#[repr(C)]
pub struct p2pgate_merger_t {
    /// Not for the application.
    pub words: [u64; P2PGATE_MERGER_WORDS],
}

/// What a merger wants next.
#[repr(C)]
pub struct p2pgate_merge_step_t {
    /// With P2PGATE_MERGE_COPY: the bytes to copy, all or some; else 0.
    pub length: u64,
    /// P2PGATE_MERGE_...
    pub step: u32,
    /// P2PGATE_CLASS_...: which file; 0 when done.
    pub class_: u32,
}

impl Object for SegmentWriter {
    const MAGIC: u64 = 0x7032_7067_7772_6974;
}

impl Object for Merger {
    const MAGIC: u64 = 0x7032_7067_6d65_7267;
}

const _: () = assert!(size_of::<crate::memory::Slot<SegmentWriter>>() <= P2PGATE_WRITER_WORDS * 8);
const _: () = assert!(size_of::<crate::memory::Slot<Merger>>() <= P2PGATE_MERGER_WORDS * 8);
const _: () = assert!(MAX_RECORD_LEN == P2PGATE_SEGMENT_RECORD);
const _: () = assert!(END_LEN == P2PGATE_SEGMENT_BUFFER && HEADER_LEN <= END_LEN);

fn write(out: &mut [u8], length: Out<usize>, from: &[u8]) -> Outcome<()> {
    out.get_mut(..from.len()).ok_or(P2PGATE_E_BUFFER)?.copy_from_slice(from);
    length.put(from.len());
    Ok(())
}

/// Makes a writer for one recording.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_writer_init(writer: *mut p2pgate_writer_t) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    code(
        usable::<SegmentWriter>(writer.cast())
            .and_then(|()| unsafe { place(writer.cast(), SegmentWriter::new()) }),
    )
}

/// What the file of a class begins with: written to `out`, its length to `length`. `out` has P2PGATE_SEGMENT_BUFFER bytes of room.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_ARGUMENT, P2PGATE_E_BUFFER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_writer_header(
    class_: u32,
    out: *mut u8,
    room: usize,
    length: *mut usize,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (out, length) = unsafe { (bytes_mut(out, room)?, Out::new(length)?) };
        write(out, length, &SegmentWriter::header(class_of(class_)?))
    })())
}

/// What goes before `data`, the recording's next bytes, in the file of their class. Write it there, then `data` themselves.
/// `out` has P2PGATE_SEGMENT_BUFFER bytes of room. For no data there is no record: P2PGATE_NOTHING.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_BUFFER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_writer_record(
    writer: *mut p2pgate_writer_t,
    class_: u32,
    data: *const u8,
    data_length: usize,
    out: *mut u8,
    room: usize,
    length: *mut usize,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (writer, data, out, length) = unsafe {
            let writer = live::<SegmentWriter>(writer.cast())?;
            (writer, bytes(data, data_length)?, bytes_mut(out, room)?, Out::new(length)?)
        };
        let class = class_of(class_)?;
        if out.len() < MAX_RECORD_LEN {
            return Err(P2PGATE_E_BUFFER);
        }
        if data.is_empty() {
            return Err(P2PGATE_NOTHING);
        }
        write(out, length, writer.record(class, data).as_ref())
    })())
}

/// What both files end with. The writer goes on as if it had not been asked; end it by p2pgate_writer_deinit.
/// `out` has P2PGATE_SEGMENT_BUFFER bytes of room.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_BUFFER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_writer_finish(
    writer: *mut p2pgate_writer_t,
    out: *mut u8,
    room: usize,
    length: *mut usize,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (writer, out, length) =
            unsafe { (live::<SegmentWriter>(writer.cast())?, bytes_mut(out, room)?, Out::new(length)?) };
        write(out, length, writer.clone().finish().as_ref())
    })())
}

/// Ends the writer and wipes its storage.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_writer_deinit(writer: *mut p2pgate_writer_t) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    code(unsafe { end::<SegmentWriter>(writer.cast(), P2PGATE_WRITER_WORDS) })
}

/// Makes a merger for one recording.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_merger_init(merger: *mut p2pgate_merger_t) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    code(usable::<Merger>(merger.cast()).and_then(|()| unsafe { place(merger.cast(), Merger::new()) }))
}

fn merge_code(error: MergeError) -> p2pgate_result_t {
    match error {
        MergeError::NotAPart(_) => P2PGATE_E_NOT_A_PART,
        MergeError::WrongClass(_) => P2PGATE_E_WRONG_CLASS,
        MergeError::Truncated(_) => P2PGATE_E_TRUNCATED,
        MergeError::Corrupt(_) => P2PGATE_E_CORRUPT,
        MergeError::WrongPair => P2PGATE_E_WRONG_PAIR,
    }
}

/// What to do next. After an error of the files what was written so far is worth nothing.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_CORRUPT, P2PGATE_E_WRONG_PAIR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_merger_step(
    merger: *mut p2pgate_merger_t,
    step: *mut p2pgate_merge_step_t,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (merger, out) = unsafe { (live::<Merger>(merger.cast())?, Out::new(step)?) };
        out.put(match merger.step().map_err(merge_code)? {
            Step::Read(class) => {
                p2pgate_merge_step_t { length: 0, step: P2PGATE_MERGE_READ, class_: class_number(class) }
            }
            Step::Copy(class, length) => {
                p2pgate_merge_step_t { length, step: P2PGATE_MERGE_COPY, class_: class_number(class) }
            }
            Step::Done => p2pgate_merge_step_t { length: 0, step: P2PGATE_MERGE_DONE, class_: 0 },
        });
        Ok(())
    })())
}

/// Takes bytes of a class's file that P2PGATE_MERGE_READ asked for, and writes to `taken` how many; the others are left for the next step.
/// Length 0 says that the file has ended.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_NOT_A_PART, P2PGATE_E_WRONG_CLASS,
/// P2PGATE_E_TRUNCATED, P2PGATE_E_CORRUPT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_merger_read(
    merger: *mut p2pgate_merger_t,
    class_: u32,
    data: *const u8,
    length: usize,
    taken: *mut usize,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (merger, data, out) =
            unsafe { (live::<Merger>(merger.cast())?, bytes(data, length)?, Out::new(taken)?) };
        out.put(merger.read(class_of(class_)?, data).map_err(merge_code)?);
        Ok(())
    })())
}

/// The next bytes of a class's file have been copied to the recording, as P2PGATE_MERGE_COPY said. Length 0 says that the file has ended.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TRUNCATED, P2PGATE_E_CORRUPT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_merger_copied(
    merger: *mut p2pgate_merger_t,
    class_: u32,
    data: *const u8,
    length: usize,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (merger, data) = unsafe { (live::<Merger>(merger.cast())?, bytes(data, length)?) };
        merger.copied(class_of(class_)?, data).map_err(merge_code)
    })())
}

/// Ends the merger and wipes its storage.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_merger_deinit(merger: *mut p2pgate_merger_t) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    code(unsafe { end::<Merger>(merger.cast(), P2PGATE_MERGER_WORDS) })
}

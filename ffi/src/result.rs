//! Results, and their texts.

use core::ffi::{CStr, c_char};

/// What a function came to: 0 is success, positive is nothing to do, negative is an error. The numbers are frozen.
pub type p2pgate_result_t = i32;

/// Done.
pub const P2PGATE_OK: i32 = 0;
/// There is nothing: no event, no deadline, no such entry, or more bytes are needed. Nothing was written.
pub const P2PGATE_NOTHING: i32 = 1;
/// A pointer is NULL that must not be. (NULL is taken where its length is 0.)
pub const P2PGATE_E_NULL: i32 = -1;
/// The storage is too small, or not aligned to 8 bytes.
pub const P2PGATE_E_STORAGE: i32 = -2;
/// The storage holds no such object: it was never initialised, was copied or moved, was deinitialised, or holds another kind.
pub const P2PGATE_E_OBJECT: i32 = -3;
/// `struct_size` is not the size that this library knows: set it to sizeof the struct, and compile with this library's header.
pub const P2PGATE_E_STRUCT_SIZE: i32 = -4;
/// A number is out of its range.
pub const P2PGATE_E_ARGUMENT: i32 = -5;
/// A text is not UTF-8.
pub const P2PGATE_E_TEXT: i32 = -6;
/// A text is no identifier: 1 to 128 bytes, no comma, no control character, no space at either end.
pub const P2PGATE_E_IDENTIFIER: i32 = -7;
/// The buffer is too small.
pub const P2PGATE_E_BUFFER: i32 = -8;
/// The ticket is over 64 bytes.
pub const P2PGATE_E_TICKET: i32 = -9;
/// More than four addresses.
pub const P2PGATE_E_ADDRESSES: i32 = -10;
/// The list has no place left.
pub const P2PGATE_E_LIST_FULL: i32 = -11;
/// The blob was written by another version.
pub const P2PGATE_E_BLOB_VERSION: i32 = -12;
/// The blob has more entries than this terminal has places.
pub const P2PGATE_E_BLOB_ENTRIES: i32 = -13;
/// The blob is cut short or altered.
pub const P2PGATE_E_BLOB_DAMAGED: i32 = -14;
/// A terminal can't call itself.
pub const P2PGATE_E_ONESELF: i32 = -15;
/// The broker is not connected.
pub const P2PGATE_E_OFFLINE: i32 = -16;
/// All places for sessions are taken.
pub const P2PGATE_E_NO_SESSION: i32 = -17;
/// There is no place to remember the callee's key.
pub const P2PGATE_E_PEERS_FULL: i32 = -18;
/// Too many connections have not yet said what they are for: close this one.
pub const P2PGATE_E_INCOMING_FULL: i32 = -19;
/// There is no such session, or its peer link is not up.
pub const P2PGATE_E_NOT_OPEN: i32 = -20;
/// The session has a transfer under way.
pub const P2PGATE_E_BUSY: i32 = -21;
/// The recording's name is not one path component of 1 to 255 bytes, too long for the other end, or not the one that it asked for.
pub const P2PGATE_E_NAME: i32 = -22;
/// What names the source's state is neither empty nor 8 to 32 bytes long.
pub const P2PGATE_E_SOURCE: i32 = -23;
/// No class has a way, or the session has no open lane for this class.
pub const P2PGATE_E_NO_LANE: i32 = -24;
/// The session has no transfer that waits for this call: take the events first.
pub const P2PGATE_E_OUT_OF_TURN: i32 = -25;
/// The payload is empty or larger than a frame that the receiver takes.
pub const P2PGATE_E_PAYLOAD: i32 = -26;
/// The bytes reach over the recording's length that was offered, or over what one frame can hold.
pub const P2PGATE_E_TOO_LONG: i32 = -27;
/// The other side takes no text as long as is to be sent.
pub const P2PGATE_E_TEXT_TOO_LONG: i32 = -28;
/// The link is over: close its connection.
pub const P2PGATE_E_LINK_CLOSED: i32 = -29;
/// The file doesn't begin as one of a split recording does.
pub const P2PGATE_E_NOT_A_PART: i32 = -30;
/// The file holds the other class.
pub const P2PGATE_E_WRONG_CLASS: i32 = -31;
/// The file or frame ends too early.
pub const P2PGATE_E_TRUNCATED: i32 = -32;
/// The files are damaged, or bytes were given that were not asked for.
pub const P2PGATE_E_CORRUPT: i32 = -33;
/// The two files are of different recordings.
pub const P2PGATE_E_WRONG_PAIR: i32 = -34;
/// The bytes are no frame.
pub const P2PGATE_E_FRAME: i32 = -35;
/// The frame is sealed under another key number.
pub const P2PGATE_E_WRONG_KEY: i32 = -36;
/// The frame is not the next: replayed, or others are missing.
pub const P2PGATE_E_WRONG_COUNTER: i32 = -37;
/// The frame was altered, or sealed by somebody else.
pub const P2PGATE_E_NOT_AUTHENTIC: i32 = -38;
/// The key has sealed all the frames that it may.
pub const P2PGATE_E_EXHAUSTED: i32 = -39;
/// The text is no public key: 43 characters of base64.
pub const P2PGATE_E_KEY: i32 = -40;
/// A part of the deposit begins here: write its header by p2pgate_terminal_seal_part first.
pub const P2PGATE_E_PART_DUE: i32 = -41;
/// The broker has not kept the part before yet: go on after P2PGATE_EVENT_DEPOSIT_KEPT.
pub const P2PGATE_E_NOT_YET: i32 = -42;
/// A deposit's bytes come one after the other, without gaps.
pub const P2PGATE_E_GAP: i32 = -43;

/// A result in words, for people: English, NUL-terminated, static; never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn p2pgate_strerror(result: p2pgate_result_t) -> *const c_char {
    words(result).as_ptr()
}

fn words(result: i32) -> &'static CStr {
    match result {
        P2PGATE_OK => c"done",
        P2PGATE_NOTHING => c"there is nothing to do",
        P2PGATE_E_NULL => c"a pointer is NULL; give one, or the length 0 with it",
        P2PGATE_E_STORAGE => c"the storage is too small or not aligned to 8 bytes; use an array of uint64_t of the header's size",
        P2PGATE_E_OBJECT => c"the storage holds no such object; initialise it where it stays, and do not copy it",
        P2PGATE_E_STRUCT_SIZE => c"struct_size is not what this library knows; set it, and compile with this library's header",
        P2PGATE_E_ARGUMENT => c"a number is out of its range; see the header",
        P2PGATE_E_TEXT => c"a text is not UTF-8; convert it",
        P2PGATE_E_IDENTIFIER => c"a text is no identifier; give 1 to 128 bytes without comma, control character or space at either end",
        P2PGATE_E_BUFFER => c"the buffer is too small; give a larger one",
        P2PGATE_E_TICKET => c"a ticket is a line of 1 to 64 bytes; copy it as the operator printed it",
        P2PGATE_E_ADDRESSES => c"a terminal tells at most four addresses; leave some out",
        P2PGATE_E_LIST_FULL => c"the list is full; delete an entry first",
        P2PGATE_E_BLOB_VERSION => c"the stored list has a version that this library can't read; update it",
        P2PGATE_E_BLOB_ENTRIES => c"the stored list has more entries than there are places; give the terminal more",
        P2PGATE_E_BLOB_DAMAGED => c"the stored list is damaged; register the list anew",
        P2PGATE_E_ONESELF => c"a terminal can't call itself; give another identifier",
        P2PGATE_E_OFFLINE => c"the broker is not connected; wait for it",
        P2PGATE_E_NO_SESSION => c"all sessions are in use; wait until one ends",
        P2PGATE_E_PEERS_FULL => c"too many terminals are known; strike one off the list",
        P2PGATE_E_INCOMING_FULL => c"too many connections wait to say what they are for; close this one",
        P2PGATE_E_NOT_OPEN => c"the session is not open; call again",
        P2PGATE_E_BUSY => c"the session has a transfer under way; wait for its end",
        P2PGATE_E_NAME => c"the name is not one path component of 1 to 255 bytes, too long for the other end, or not the one it asked for; give another",
        P2PGATE_E_SOURCE => c"what names the source's state is not 8 to 32 bytes long; hash it",
        P2PGATE_E_NO_LANE => c"there is no open lane for this class; offer it a way, and wait for the event that the transfer is ready",
        P2PGATE_E_OUT_OF_TURN => c"the session has no transfer that waits for this; take its events first",
        P2PGATE_E_PAYLOAD => c"the payload is empty or larger than the receiver takes; cut it",
        P2PGATE_E_TOO_LONG => c"the bytes reach over what was offered, or over one frame; offer anew, or cut them",
        P2PGATE_E_TEXT_TOO_LONG => c"the text is too long for the other side; shorten the list or the name",
        P2PGATE_E_LINK_CLOSED => c"the link is over; close its connection",
        P2PGATE_E_NOT_A_PART => c"the file is none of a split recording; give the one that was written",
        P2PGATE_E_WRONG_CLASS => c"the file holds the other class; exchange the two files",
        P2PGATE_E_TRUNCATED => c"the file or frame is cut off; fetch it again",
        P2PGATE_E_CORRUPT => c"the files are damaged; fetch them again",
        P2PGATE_E_WRONG_PAIR => c"the two files are not of the same recording; give both of one",
        P2PGATE_E_FRAME => c"the bytes are no frame; close the lane",
        P2PGATE_E_WRONG_KEY => c"the frame is sealed under another key; give it to that key's opener",
        P2PGATE_E_WRONG_COUNTER => c"the frame is out of its order; close the lane and resume",
        P2PGATE_E_NOT_AUTHENTIC => c"the frame is not authentic; close the lane",
        P2PGATE_E_EXHAUSTED => c"the key has sealed all the frames it may; agree on a new one",
        P2PGATE_E_KEY => c"this is no public key; copy all 43 characters of the fingerprint",
        P2PGATE_E_PART_DUE => c"a part of the deposit begins here; write its header first",
        P2PGATE_E_NOT_YET => c"the broker has not kept the part before yet; go on after the event that says so",
        P2PGATE_E_GAP => c"a deposit's bytes come one after the other; give the next ones",
        _ => c"this library has no such result; print its number",
    }
}

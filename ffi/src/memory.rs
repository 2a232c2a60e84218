//! Pointers from C: slices, texts, outputs, and objects in the caller's storage.

use crate::result::*;
use core::ffi::c_char;
use core::ptr::NonNull;
use zeroize::Zeroize;

pub(crate) type Outcome<T> = Result<T, p2pgate_result_t>;

pub(crate) fn code(outcome: Outcome<()>) -> p2pgate_result_t {
    match outcome {
        Ok(()) => P2PGATE_OK,
        Err(code) => code,
    }
}

/// # Safety
/// `pointer` is null or valid for `length` bytes for as long as the slice is used.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, length: usize) -> Outcome<&'a [u8]> {
    check(pointer, length)?;
    // SAFETY: the caller's promise; neither null nor longer than a slice may be.
    Ok(if length == 0 { &[] } else { unsafe { core::slice::from_raw_parts(pointer, length) } })
}

/// # Safety
/// As [`bytes`], and nothing else uses them meanwhile.
pub(crate) unsafe fn bytes_mut<'a>(pointer: *mut u8, length: usize) -> Outcome<&'a mut [u8]> {
    check(pointer, length)?;
    // SAFETY: the caller's promise; neither null nor longer than a slice may be.
    Ok(if length == 0 { &mut [] } else { unsafe { core::slice::from_raw_parts_mut(pointer, length) } })
}

/// # Safety
/// `pointer` is null or valid for `length` values, aligned, for as long as the slice is used.
pub(crate) unsafe fn values<'a, T>(pointer: *const T, length: usize) -> Outcome<&'a [T]> {
    let size = length.checked_mul(size_of::<T>()).ok_or(P2PGATE_E_ARGUMENT)?;
    check(pointer.cast(), size)?;
    // SAFETY: the caller's promise; neither null nor longer than a slice may be.
    Ok(if length == 0 { &[] } else { unsafe { core::slice::from_raw_parts(pointer, length) } })
}

fn check(pointer: *const u8, length: usize) -> Outcome<()> {
    if length > isize::MAX as usize {
        return Err(P2PGATE_E_ARGUMENT);
    }
    if length > 0 && pointer.is_null() { Err(P2PGATE_E_NULL) } else { Ok(()) }
}

/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn text<'a>(pointer: *const c_char, length: usize) -> Outcome<&'a str> {
    // SAFETY: the caller's promise.
    core::str::from_utf8(unsafe { bytes(pointer.cast(), length) }?).map_err(|_| P2PGATE_E_TEXT)
}

/// # Safety
/// `pointer` is null or valid for `N` bytes for as long as the array is used.
pub(crate) unsafe fn array<'a, const N: usize>(pointer: *const u8) -> Outcome<&'a [u8; N]> {
    // SAFETY: the caller's promise; an array of bytes has no alignment.
    unsafe { pointer.cast::<[u8; N]>().as_ref() }.ok_or(P2PGATE_E_NULL)
}

/// # Safety
/// `pointer` is null or valid and aligned for as long as the value is used.
pub(crate) unsafe fn value<'a, T>(pointer: *const T) -> Outcome<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or(P2PGATE_E_NULL)
}

/// Where a result goes: checked before anything is done, written when it has succeeded.
pub(crate) struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// # Safety
    /// `pointer` is null, or valid for one write until [`Self::put`].
    pub(crate) unsafe fn new(pointer: *mut T) -> Outcome<Self> {
        NonNull::new(pointer).map(Self).ok_or(P2PGATE_E_NULL)
    }

    pub(crate) fn put(self, value: T) {
        // SAFETY: promised at `new`. What was there is C's, and is not dropped.
        unsafe { self.0.write(value) }
    }
}

/// What can be kept in the caller's storage.
pub(crate) trait Object {
    /// Tells the kinds of objects apart.
    const MAGIC: u64;
}

/// An object in the caller's storage. The guard depends on the place, so that a copy is none.
#[repr(C)]
pub(crate) struct Slot<T> {
    guard: u64,
    value: T,
}

fn guard<T: Object>(storage: *const u64) -> u64 {
    T::MAGIC ^ (storage.addr() as u64).rotate_left(20)
}

fn checked<T>(storage: *mut u64) -> Outcome<NonNull<Slot<T>>> {
    const { assert!(align_of::<Slot<T>>() <= 8) }
    let slot = NonNull::new(storage).ok_or(P2PGATE_E_NULL)?;
    if !storage.addr().is_multiple_of(8) {
        return Err(P2PGATE_E_STORAGE);
    }
    Ok(slot.cast())
}

/// Whether an object of this kind can be put there.
pub(crate) fn usable<T: Object>(storage: *mut u64) -> Outcome<()> {
    checked::<T>(storage).map(|_| ())
}

/// Makes the storage an object. Whatever was there is forgotten.
///
/// # Safety
/// `storage` is null or valid for the words of a `Slot<T>`.
pub(crate) unsafe fn place<T: Object>(storage: *mut u64, value: T) -> Outcome<()> {
    let slot = checked::<T>(storage)?;
    // SAFETY: the caller's promise, and it is aligned.
    unsafe { slot.write(Slot { guard: guard::<T>(storage), value }) };
    Ok(())
}

/// # Safety
/// `storage` is null or valid for the words of a `Slot<T>`, and nothing else uses it meanwhile.
pub(crate) unsafe fn live<'a, T: Object>(storage: *mut u64) -> Outcome<&'a mut T> {
    let slot = checked::<T>(storage)?;
    // SAFETY: its first word can be read, by the caller's promise; only with the right guard is there a value behind it.
    unsafe {
        if slot.cast::<u64>().read() != guard::<T>(storage) {
            return Err(P2PGATE_E_OBJECT);
        }
        Ok(&mut (*slot.as_ptr()).value)
    }
}

/// As [`live`], to read only: other readers may be there.
///
/// # Safety
/// `storage` is null or valid for the words of a `Slot<T>`, and nothing writes to it meanwhile.
pub(crate) unsafe fn shared<'a, T: Object>(storage: *const u64) -> Outcome<&'a T> {
    let slot = checked::<T>(storage.cast_mut())?;
    // SAFETY: as in `live`.
    unsafe {
        if slot.cast::<u64>().read() != guard::<T>(storage) {
            return Err(P2PGATE_E_OBJECT);
        }
        Ok(&(*slot.as_ptr()).value)
    }
}

/// Ends an object and wipes its `words` words.
///
/// # Safety
/// As [`live`], for `words` words.
pub(crate) unsafe fn end<T: Object>(storage: *mut u64, words: usize) -> Outcome<()> {
    // SAFETY: the caller's promise.
    let value: *mut T = unsafe { live::<T>(storage) }?;
    // SAFETY: it is a value, and nobody finds it again: the guard is wiped with all else.
    unsafe {
        value.drop_in_place();
        wipe(storage, words);
    }
    Ok(())
}

/// # Safety
/// `storage` is valid for `words` words.
pub(crate) unsafe fn wipe(storage: *mut u64, words: usize) {
    // SAFETY: the caller's promise. Padding and what was dropped are written over without being read.
    unsafe {
        storage.write_bytes(0, words);
        core::slice::from_raw_parts_mut(storage, words).zeroize();
    }
}

//! The load gate by itself, for a device that asks it elsewhere than in a terminal (rows P6, V12).

use crate::memory::{Object, Out, Outcome, code, end, live, place, shared, usable};
use crate::result::*;
use p2pgate::load::LoadGate;

/// Words of a load gate.
pub const P2PGATE_GATE_WORDS: usize = 2;

/// A load gate: initialise it where it stays.
#[repr(C)]
pub struct p2pgate_gate_t {
    /// Not for the application.
    pub words: [u64; P2PGATE_GATE_WORDS],
}

impl Object for LoadGate {
    const MAGIC: u64 = 0x7032_7067_6761_7465;
}

const _: () = assert!(size_of::<crate::memory::Slot<LoadGate>>() <= P2PGATE_GATE_WORDS * 8);

pub(crate) fn gate(limit: u32, hysteresis: u32, sessions: u32) -> Outcome<LoadGate> {
    let byte = |number: u32| u8::try_from(number).map_err(|_| P2PGATE_E_ARGUMENT);
    Ok(LoadGate::new(byte(limit)?, byte(hysteresis)?, byte(sessions)?))
}

/// Makes a gate that is busy while the load is at or over `limit` per cent (0: always; over 100: never by load) until it has fallen `hysteresis` points
/// below, and while `sessions` sessions or more are open. All up to 255.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_gate_init(
    gate: *mut p2pgate_gate_t,
    limit: u32,
    hysteresis: u32,
    sessions: u32,
) -> p2pgate_result_t {
    code((|| {
        usable::<LoadGate>(gate.cast())?;
        // SAFETY: the caller's promise.
        unsafe { place(gate.cast(), self::gate(limit, hysteresis, sessions)?) }
    })())
}

/// Takes the newest load figure, in per cent; over 100 counts as 100.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_gate_set_load(gate: *mut p2pgate_gate_t, percent: u32) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    code(unsafe { live(gate.cast()) }.map(|gate: &mut LoadGate| gate.set_load(percent.min(100) as u8)))
}

/// Writes 1 to `free` if one more session is taken while `open` are there, else 0.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_gate_is_free(
    gate: *const p2pgate_gate_t,
    open: usize,
    free: *mut u32,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (gate, free) = unsafe { (shared::<LoadGate>(gate.cast())?, Out::new(free)?) };
        free.put(gate.is_free(open).into());
        Ok(())
    })())
}

/// Ends the gate and wipes its storage.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_gate_deinit(gate: *mut p2pgate_gate_t) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    code(unsafe { end::<LoadGate>(gate.cast(), P2PGATE_GATE_WORDS) })
}

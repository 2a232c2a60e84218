//! What a selection costs the sender: processor time against sealing all.

use std::time::Duration;

use p2pgate::lane::{HEADROOM, Kind, LaneSealer, Place, TAILROOM};
use p2pgate::mpeg::{Class, Splitter};
use p2pgate::route::Selection;
use p2pgate::sframe::Suite;
use rustix::time::{ClockId, clock_gettime};

/// Bytes of a frame, as the recorder sends them.
const PAYLOAD: usize = 64 << 10;
/// Each way is measured so often; the fastest counts.
const ROUNDS: usize = 7;
/// How many selections there are.
pub const SELECTIONS: usize = Selection::EACH.len();
/// What is measured at least and at most, bytes.
const LEAST: usize = 2 << 20;
const MOST: usize = 32 << 20;

/// Shares of the time that sealing all of the recording takes, without splitting it.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// To split, and to seal what is selected: what the source document means to save.
    pub seal: f64,
    /// To authenticate the rest besides, as a lane in clear does.
    pub lanes: f64,
}

/// What is done to the bytes.
#[derive(Clone, Copy)]
enum Work {
    Everything,
    Seal(Selection),
    Lanes(Selection),
}

/// Measures each of [`Selection::EACH`] on a recording, of which the beginning will do.
pub fn measure(recording: &[u8], suite: Suite) -> [Shares; SELECTIONS] {
    let recording = &recording[..recording.len().min(MOST)];
    let again = LEAST.div_ceil(recording.len().max(1));
    let works: Vec<Work> = [Work::Everything]
        .into_iter()
        .chain(Selection::EACH.into_iter().flat_map(|each| [Work::Seal(each), Work::Lanes(each)]))
        .collect();
    let mut least = vec![Duration::MAX; works.len()];
    let mut sender = Sender::new(suite);
    for _ in 0..ROUNDS {
        for (work, least) in works.iter().zip(&mut least) {
            let before = now();
            for _ in 0..again {
                sender.run(recording, *work);
            }
            *least = now().saturating_sub(before).min(*least);
        }
    }
    let share = |at: usize| least[at].as_secs_f64() / least[0].as_secs_f64().max(f64::MIN_POSITIVE);
    std::array::from_fn(|at| Shares { seal: share(1 + 2 * at), lanes: share(2 + 2 * at) })
}

/// Processor time of this thread.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

struct Sender {
    lanes: [LaneSealer; 2],
    buffer: Vec<u8>,
}

impl Sender {
    fn new(suite: Suite) -> Self {
        let lanes = [LaneSealer::new(suite, 0, &[1; 32]), LaneSealer::new(suite, 1, &[2; 32])];
        Self { lanes, buffer: vec![0; HEADROOM + PAYLOAD + TAILROOM] }
    }

    fn run(&mut self, recording: &[u8], work: Work) {
        let (selection, authenticate) = match work {
            Work::Everything => return self.frames(Kind::Sealed, recording),
            Work::Seal(selection) => (selection, false),
            Work::Lanes(selection) => (selection, true),
        };
        let mut splitter = Splitter::with(selection, false);
        let (mut start, mut end) = (0, 0);
        while start < recording.len() {
            end = recording.len().min(end.max(start) + PAYLOAD);
            while let Some(span) = splitter.next(&recording[start..end], end == recording.len()) {
                let bytes = &recording[start..start + span.len];
                match span.class {
                    Class::Sealed => self.frames(Kind::Sealed, bytes),
                    Class::Rest if authenticate => self.frames(Kind::Clear, bytes),
                    Class::Rest => {}
                }
                start += span.len;
            }
        }
    }

    fn frames(&mut self, kind: Kind, bytes: &[u8]) {
        let place = Place { transfer: 1, kind, segment: 0, offset: 0 };
        for piece in bytes.chunks(PAYLOAD) {
            self.buffer[HEADROOM..HEADROOM + piece.len()].copy_from_slice(piece);
            // The buffer has room, and counters last longer than any recording.
            let frame =
                self.lanes[usize::from(kind == Kind::Clear)].seal(place, &mut self.buffer, piece.len());
            debug_assert!(frame.is_ok());
            let _ = std::hint::black_box(frame);
        }
    }
}

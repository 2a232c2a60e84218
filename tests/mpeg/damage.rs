//! What happens to recordings on bad discs and in bad weather.

use super::streams::Random;

/// A byte, where it was, and whether a bit of it was flipped.
pub type Hit = (u8, usize, bool);

/// Loses and repeats packets of `size` (1: there are none), flips bits and cuts, each up to about `most` times.
pub fn damage(random: &mut Random, data: &[u8], size: usize, most: usize) -> Vec<Hit> {
    let mut out: Vec<Hit> = (0..).zip(data).map(|(at, &byte)| (byte, at, false)).collect();
    for _ in 0..if size > 1 { random.below(most) } else { 0 } {
        let first = random.below(out.len() / size);
        let packets = first * size..((first + 1 + random.below(4)) * size).min(out.len());
        if random.one_in(2) {
            out.drain(packets);
        } else {
            let again = out[packets.clone()].to_vec();
            out.splice(packets.start..packets.start, again);
        }
    }
    // Packets of a fixed size are cut once: cut twice, two of them could be joined to one that looks whole.
    let mut cuts = if size > 1 { 1 } else { most };
    let mut ends = 2;
    for _ in 0..1 + random.below(most) {
        let at = random.below(out.len());
        match random.below(5) {
            3 if cuts > 0 => {
                out.drain(at..(at + 1 + random.below(180)).min(out.len()));
                cuts -= 1;
            }
            4 if ends > 0 => {
                ends -= 1;
                match random.one_in(2) {
                    true => drop(out.drain(..at / 8)),
                    false => out.truncate(out.len() - at / 8),
                }
            }
            _ => out[at] = (out[at].0 ^ 1 << random.below(8), out[at].1, true),
        }
    }
    out
}

/// Of each byte of the original, what arrived.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Arrived {
    Missing,
    Hit,
    Whole,
}

pub fn arrived(length: usize, damaged: &[Hit]) -> Vec<Arrived> {
    let mut all = vec![Arrived::Missing; length];
    for &(_, at, hit) in damaged {
        if hit || all[at] == Arrived::Hit {
            all[at] = Arrived::Hit;
        } else {
            all[at] = Arrived::Whole;
        }
    }
    all
}

//! From which age on pages may leave, so that no more refaults than the goal allows: known before anything moves.
//!
//! A page that was idle for an age A and is touched then is exactly the refault that acting at age A would have caused. So
//! the looks alone say what each age would cost, and what it would save:
//!
//! ```text
//! what returned, by how long it had been idle -> Hours -> what each age would bring back, as a share of the goal's pay
//!                                                            |
//!      what is idle, by how long  -> Sweeps (not counted) -> AgeToAct: the smallest age that the goal pays for
//!                                                            |
//!                                 what really refaulted -> Ramp: how much may leave at once
//! ```
//!
//! [`Forecast`] is all of it, for the processes of one task. Nothing here reads a clock: time is handed in.

mod choice;
mod hours;
mod ramp;
mod sweeps;

pub use choice::{AgeLimits, AgeRule, Forecast, Offer, Seen, Told};
pub use ramp::Stage;
pub use sweeps::Swept;

/// A number of bytes, for rates.
fn bytes(number: u64) -> f64 {
    // Exact up to 8 PiB.
    #[expect(clippy::cast_precision_loss, reason = "figures of memory, for a rate")]
    let bytes = number as f64;
    bytes
}

/// The same back, whole and not negative.
fn whole(number: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative; saturates")]
    let number = number.max(0.0) as u64;
    number
}

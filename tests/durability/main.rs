//! What the registry keeps: acknowledged images when the process is killed,
//! and tags and images when many clients change them at once.
//!
//! `IRONWHARF_TEST_SEED` repeats the choices of a run that failed.

#[cfg(test)]
mod consistency;
#[cfg(test)]
mod history;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod process;
#[cfg(test)]
mod races;
#[cfg(test)]
mod tags;

/// Random choices for a test. The seed is printed, which shows it when the test fails.
#[cfg(test)]
fn random() -> fastrand::Rng {
    let given = std::env::var("IRONWHARF_TEST_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("IRONWHARF_TEST_SEED is a number"));
    println!("IRONWHARF_TEST_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

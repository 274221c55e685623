//! Unguessable names.

use ring::rand::{SecureRandom, SystemRandom};

/// `N` random bytes.
///
/// # Panics
/// Where the operating system has no working generator: the process must not
/// go on making guessable names.
#[must_use]
#[expect(clippy::expect_used, reason = "without a random generator no credential can be made safely")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the operating system has a random generator");
    bytes
}

/// `N` random bytes as lower-case hex.
#[must_use]
pub fn hex<const N: usize>() -> String {
    use std::fmt::Write as _;
    bytes::<N>().iter().fold(String::with_capacity(N * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A random (version 4) UUID, as ECR's upload ids are.
#[must_use]
pub fn uuid() -> String {
    let mut bytes = bytes::<16>();
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let hex = u128::from_be_bytes(bytes);
    let field = |shift: u32, bits: u32| (hex >> shift) & ((1 << bits) - 1);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        field(96, 32),
        field(80, 16),
        field(64, 16),
        field(48, 16),
        field(0, 48)
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn uuids_have_their_form() {
        let uuid = super::uuid();
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
        assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
        assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
    }
}

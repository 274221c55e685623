//! Access key ids, which say whose they are.
//!
//! An id is four letters for its kind and 16 characters of base32. The first 41
//! of their 80 bits are a one and the account, the rest is random: the form AWS
//! gives its own, so that tools which read the account out of an id keep working.

use crate::identity::AccountId;

/// What an access key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKeyKind {
    /// Of a user or a root, until it is deleted.
    LongTerm,
    /// Of a session: of use only with its session token.
    Temporary,
}

impl AccessKeyKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::LongTerm => "AKIA",
            Self::Temporary => "ASIA",
        }
    }
}

/// The alphabet of RFC 4648.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// How many bits are random.
const RANDOM_BITS: u32 = 39;

/// The number of base32 characters.
const CHARACTERS: u32 = 16;

/// The id of a key of `account`; `random` are the bits that tell its keys apart.
#[must_use]
pub fn access_key_id(kind: AccessKeyKind, account: &AccountId, random: [u8; 5]) -> String {
    let number: u64 = account.as_str().bytes().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    let random = random.iter().fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
    let bits = (1_u128 << 79) | (u128::from(number) << RANDOM_BITS) | (random & ((1 << RANDOM_BITS) - 1));
    let mut id = kind.prefix().to_owned();
    for position in (0..CHARACTERS).rev() {
        let index = usize::try_from((bits >> (position * 5)) & 31).unwrap_or_default();
        id.push(ALPHABET.get(index).copied().map_or('A', char::from));
    }
    id
}

/// The account an access key id was made for; `None` if it is not of the form
/// of [`access_key_id`].
#[must_use]
pub fn account_of_access_key(id: &str) -> Option<AccountId> {
    let encoded = [AccessKeyKind::LongTerm, AccessKeyKind::Temporary]
        .into_iter()
        .find_map(|kind| id.strip_prefix(kind.prefix()))?;
    if encoded.len() != CHARACTERS as usize {
        return None;
    }
    let mut bits = 0_u128;
    for letter in encoded.bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        bits = (bits << 5) | u128::try_from(value).ok()?;
    }
    let number = (bits >> RANDOM_BITS) & ((1 << 40) - 1);
    let is_marked = bits >> 79 == 1;
    AccountId::parse(&format!("{number:012}")).ok().filter(|_| is_marked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_account() {
        for account in ["000000000000", "123456789012", "999999999999"] {
            let account = AccountId::parse(account).unwrap();
            for kind in [AccessKeyKind::LongTerm, AccessKeyKind::Temporary] {
                for random in [[0; 5], [255; 5], [1, 2, 3, 4, 5]] {
                    let id = access_key_id(kind, &account, random);
                    assert_eq!(id.len(), 20, "{id}");
                    assert_eq!(account_of_access_key(&id), Some(account.clone()), "{id}");
                }
            }
        }
    }

    #[test]
    fn anything_else_tells_nothing() {
        for id in [
            "",
            "AKIA",
            "AKIATESTTESTTESTTEST1",
            "akiaqaaaaaaaaaaaaaaa",
            "AKIAAAAAAAAAAAAAAAAA",
            "AKIA0000000000000000",
        ] {
            assert_eq!(account_of_access_key(id), None, "{id}");
        }
    }
}

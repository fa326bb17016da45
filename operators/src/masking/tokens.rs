//! Tokens of the same form: FF1 of NIST SP 800-38G (2016), with AES-256 (FIPS 197).

use std::collections::HashMap;

use aes::Aes256;
use aes::cipher::BlockCipherEncrypt;
use aqueduct_model::{Error, Result, Secret};
use fpe::ff1::{FF1, FlexibleNumeralString};

use super::config::{Alphabet, Tokenize};

/// The key of AES-256, in bytes.
const KEY_BYTES: usize = 32;
/// The longest tweak, in bytes.
const TWEAK_BYTES_MAX: usize = 64;
/// The most characters that are replaced in one value: the work rises with their square.
const NUMERALS_MAX: usize = 4_096;
/// The largest alphabet.
const RADIX_MAX: usize = 1_000;
/// The fewest values of one length that FF1 is let work on: SP 800-38G Rev. 1 (draft), section 5.1.
const DOMAIN_MIN: u64 = 1_000_000;

/// Makes tokens.
pub(super) struct Tokens {
    ff1: FF1<Aes256>,
    alphabet: Vec<char>,
    numerals: HashMap<char, u16>,
    tweak: Vec<u8>,
    /// The fewest characters that have enough values.
    length_min: usize,
}

impl Tokens {
    /// Checks the settings.
    ///
    /// # Errors
    /// `Config` with what is wrong; never shows the key.
    pub(super) fn new(config: &Tokenize) -> Result<Self> {
        let key = key(&config.key)?;
        if config.tweak.len() > TWEAK_BYTES_MAX {
            return Err(Error::config(format!("`tweak` is longer than {TWEAK_BYTES_MAX} bytes"))
                .with_hint("a short name is enough, for example the column's"));
        }
        let alphabet: Vec<char> = match &config.alphabet {
            Alphabet::Digits => ('0'..='9').collect(),
            Alphabet::Alnum => ('0'..='9').chain('A'..='Z').chain('a'..='z').collect(),
            Alphabet::Custom(characters) => characters.chars().collect(),
        };
        let numerals: HashMap<char, u16> = alphabet.iter().copied().zip(0..).collect();
        if !(2..=RADIX_MAX).contains(&alphabet.len()) || numerals.len() < alphabet.len() {
            return Err(Error::config(format!("`alphabet` is not 2 to {RADIX_MAX} characters, each once"))
                .with_hint("write for example `alphabet: { custom: \"0123456789abcdef\" }`"));
        }
        let radix = alphabet.len() as u32;
        let ff1 = FF1::<Aes256>::new(&key, radix).map_err(|_| Error::bug("an alphabet that was checked is refused"))?;
        Ok(Self { ff1, alphabet, numerals, tweak: config.tweak.clone().into_bytes(), length_min: length_min(radix) })
    }

    /// The token of a value.
    ///
    /// # Errors
    /// The reason, free of the value.
    pub(super) fn token(&self, value: &str) -> Result<String, String> {
        let mut numerals: Vec<u16> = Vec::with_capacity(value.len());
        for c in value.chars() {
            match self.numerals.get(&c) {
                Some(numeral) => numerals.push(*numeral),
                None if c.is_alphanumeric() => {
                    return Err("a value has a letter or digit outside the alphabet of its tokens".to_owned());
                }
                None => {}
            }
        }
        if numerals.len() < self.length_min {
            return Err(format!(
                "a value is too short for a token: fewer than {} characters of the alphabet have fewer than a million \
                 values",
                self.length_min
            ));
        }
        if numerals.len() > NUMERALS_MAX {
            return Err(format!("a value is too long for a token: more than {NUMERALS_MAX} characters"));
        }
        let token = encrypt(&self.ff1, &self.tweak, numerals).ok_or("a value has no token")?;
        let mut replaced = token.into_iter().filter_map(|numeral| self.alphabet.get(usize::from(numeral)));
        let put = |c: char| if self.numerals.contains_key(&c) { replaced.next().copied() } else { Some(c) };
        value.chars().map(put).collect::<Option<String>>().ok_or_else(|| "a value has no token".to_owned())
    }
}

/// The fewest characters of which there are [`DOMAIN_MIN`] texts.
fn length_min(radix: u32) -> usize {
    let mut values = u64::from(radix);
    let mut length = 1;
    while values < DOMAIN_MIN {
        values *= u64::from(radix);
        length += 1;
    }
    // FF1 works on two halves.
    length.max(2)
}

fn encrypt<C: BlockCipherEncrypt + Clone>(ff1: &FF1<C>, tweak: &[u8], numerals: Vec<u16>) -> Option<Vec<u16>> {
    ff1.encrypt(tweak, &FlexibleNumeralString::from(numerals)).ok().map(Into::into)
}

fn key(secret: &Secret) -> Result<[u8; KEY_BYTES]> {
    let wrong = || {
        Error::config(format!("`key` is not {} hex characters", KEY_BYTES * 2))
            .with_hint("make one with `openssl rand -hex 32`, and give it as ${env:NAME}")
    };
    let digits: Vec<u8> = secret.expose().chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    if digits.len() != KEY_BYTES * 2 || secret.expose().chars().count() != digits.len() {
        return Err(wrong());
    }
    Ok(std::array::from_fn(|i| digits[i * 2] << 4 | digits[i * 2 + 1]))
}

#[cfg(test)]
mod tests {
    use aes::cipher::KeyInit;
    use aes::{Aes128, Aes192};

    use super::*;

    const KEY: &str = "2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94";
    const TWEAK_A: &str = "39383736353433323130";
    const TWEAK_B: &str = "3737373770717273373737";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    fn sample<C: BlockCipherEncrypt + KeyInit + Clone>(
        key_bytes: usize,
        radix: u32,
        tweak: &str,
        plain: &str,
    ) -> String {
        let numerals = plain.chars().map(|c| c.to_digit(36).unwrap() as u16).collect();
        let ff1 = FF1::<C>::new(&bytes(KEY)[..key_bytes], radix).unwrap();
        let token = encrypt(&ff1, &bytes(tweak), numerals).unwrap();
        token.into_iter().map(|numeral| char::from_digit(u32::from(numeral), 36).unwrap()).collect()
    }

    /// The nine samples of NIST's "Examples with Intermediate Values" for FF1.
    #[test]
    fn the_published_samples() {
        let long = "0123456789abcdefghi";
        assert_eq!(sample::<Aes128>(16, 10, "", "0123456789"), "2433477484");
        assert_eq!(sample::<Aes128>(16, 10, TWEAK_A, "0123456789"), "6124200773");
        assert_eq!(sample::<Aes128>(16, 36, TWEAK_B, long), "a9tv40mll9kdu509eum");
        assert_eq!(sample::<Aes192>(24, 10, "", "0123456789"), "2830668132");
        assert_eq!(sample::<Aes192>(24, 10, TWEAK_A, "0123456789"), "2496655549");
        assert_eq!(sample::<Aes192>(24, 36, TWEAK_B, long), "xbj3kv35jrawxv32ysr");
        assert_eq!(sample::<Aes256>(32, 10, "", "0123456789"), "6657667009");
        assert_eq!(sample::<Aes256>(32, 10, TWEAK_A, "0123456789"), "1001623463");
        assert_eq!(sample::<Aes256>(32, 36, TWEAK_B, long), "xs8a0azh2avyalyzuwd");
    }

    #[test]
    fn the_shortest_values_are_those_of_a_million() {
        assert_eq!([2, 10, 36, 62, 999, 1000].map(length_min), [20, 6, 4, 4, 3, 2]);
        let tokens = |alphabet: Alphabet| {
            Tokens::new(&Tokenize { key: Secret::new(KEY), alphabet, tweak: String::new() }).unwrap()
        };
        assert!(tokens(Alphabet::Digits).token("12345").is_err() && tokens(Alphabet::Digits).token("123456").is_ok());
        assert!(tokens(Alphabet::Alnum).token("abC").is_err() && tokens(Alphabet::Alnum).token("ab-C4").is_ok());
        let wide = Alphabet::Custom((0..1000).filter_map(|i| char::from_u32(0x4e00 + i)).collect());
        assert!(tokens(wide).token("\u{4e00}\u{4e01}").is_ok());
        assert!(tokens(Alphabet::Digits).token(&"1".repeat(4_097)).is_err());
    }
}

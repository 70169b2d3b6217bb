//! The TLS library's error, which travels inside of other errors.

use std::error::Error;
use std::io;

/// What TLS says below `error`, if it was TLS.
pub(crate) fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // The source of such an error is the source of what it wraps.
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_under_two_layers() {
        let inner = io::Error::other(rustls::Error::DecryptError);
        let outer = io::Error::other(inner);
        assert_eq!(below(&outer), Some(&rustls::Error::DecryptError));
        assert_eq!(below(&io::Error::from(io::ErrorKind::NotFound)), None);
    }
}

//! The end of a JPEG, found by its markers.

/// The first image of a file, up to and including its end-of-image marker; `None` if the file ends before that.
///
/// Phones append more: the video of a motion photo, a depth or gain map, a preview.
pub(super) fn first_image(bytes: &[u8]) -> Option<&[u8]> {
    // Behind the start-of-image marker.
    let mut at = 2;
    loop {
        // A marker is any number of 0xFF and one other byte. What lies between two segments is the data of a scan.
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
        at += bytes[at..].iter().position(|&byte| byte != 0xFF)?;
        let marker = bytes[at];
        at += 1;
        match marker {
            // Without a length: 0xFF as data of a scan, TEM, restarts, start of image.
            0x00 | 0x01 | 0xD0..=0xD8 => {}
            0xD9 => return Some(&bytes[..at]),
            _ => at += usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_of_image_outside_all_segments_is_the_end() {
        // An application segment with a thumbnail, a scan with a stuffed byte and a restart, fill bytes before the end.
        let image = b"\xFF\xD8\xFF\xE1\x00\x08\xFF\xD8\xFF\xDA\xFF\xD9\xFF\xDA\x00\x02a\xFF\x00b\xFF\xD3c\xFF\xFF\xD9";
        for behind in [
            &b""[..],
            b"\0\0\0\x18ftypmp42",
            b"\xFF\xDA\xFF\xDA",
            b"\xFF\xD8\xFF\xD9",
        ] {
            let bytes = [&image[..], behind].concat();
            assert_eq!(first_image(&bytes), Some(&image[..]), "{behind:x?}");
        }
        for end in 2..image.len() {
            assert_eq!(first_image(&image[..end]), None, "{end}");
        }
    }
}

//! Images that are the tree of a system, for hypervisors that make a disk of it themselves.

use super::*;

/// The root file system of a system that does nothing.
fn tree() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in [
        ("bin/sh", content(1 << 20)),
        ("etc/passwd", b"root".to_vec()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap()
}

fn of_a_tree(url: Url, image: &[u8]) -> Download {
    Download {
        form: ImageForm::Tree,
        ..checked(url, image)
    }
}

#[tokio::test]
async fn a_tree_is_kept_as_an_archive_that_is_not_packed() {
    let tree = tree();
    let packed = [Packing::Gzip, Packing::Xz, Packing::Zstd].map(|packing| pack(packing, &tree));
    for image in packed.iter().chain([&tree]) {
        let (bench, served) = (Bench::new(), Served::new(image.clone()));
        let server = serve(move |request, _| served.reply(request)).await;
        let download = of_a_tree(server.url("/x"), image);
        let fetched = bench.fetch(&download).await.unwrap().image;
        assert_eq!(fetched.disk().file_name().unwrap(), "tree.tar");
        assert!(content_of(&fetched) == tree);
        assert_eq!(fetched.content(), Some(checksum(&tree)));
        // It is found again, also by who reads the cache anew.
        let again = bench.fetch(&download).await.unwrap();
        assert_eq!((again.how, again.image), (How::Cached, fetched));
        assert_eq!(bench.left(), [""; 0]);
    }
}

#[tokio::test]
async fn what_is_no_tree_is_refused_and_a_tree_is_no_disk() {
    let tree = tree();
    for (image, form) in [
        (image(), ImageForm::Tree),
        (disk(), ImageForm::Tree),
        (pack(Packing::Zip, &tree), ImageForm::Tree),
        (pack(Packing::Gzip, &tree), ImageForm::Disk),
    ] {
        let (bench, served) = (Bench::new(), Served::new(image.clone()));
        let server = serve(move |request, _| served.reply(request)).await;
        let download = Download {
            form,
            ..checked(server.url("/x"), &image)
        };
        let error = bench.fetch(&download).await.unwrap_err();
        let FetchError::Image(error) = error else {
            panic!("{error:?}");
        };
        match form {
            ImageForm::Tree => assert!(matches!(error, ImageError::NotATree { .. }), "{error:?}"),
            ImageForm::Disk => assert!(error.hints()[0].contains("for WSL"), "{error:?}"),
        }
        assert!(bench.cache.list().is_empty());
        assert_eq!(bench.left(), [""; 0]);
    }
}

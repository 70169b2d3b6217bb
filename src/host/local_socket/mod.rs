//! Sockets of this host by path: unix sockets, or on Windows the named pipes that stand for them.
//!
//! A path names the endpoint on every host; on Windows the pipe's name is derived from it. Endpoints are the user's
//! own: mode 0600 in a private directory, or a pipe that refuses remote clients.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

pub use platform::{
    Listener, Stream, address, bind, connect, connect_writer, may_exist, peer_process, rehome,
};

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_client_and_a_server_meet_by_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let mut listener = super::bind(&path).unwrap();
        let client = async {
            let mut stream = super::connect(&path).await.unwrap();
            stream.write_all(b"hi").await.unwrap();
            let mut answer = [0; 2];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"ho");
        };
        let server = async {
            let mut stream = listener.accept().await.unwrap();
            let mut question = [0; 2];
            stream.read_exact(&mut question).await.unwrap();
            assert_eq!(&question, b"hi");
            stream.write_all(b"ho").await.unwrap();
            stream.flush().await.unwrap();
            stream
        };
        tokio::join!(client, server);
    }

    #[tokio::test]
    async fn binding_replaces_what_a_dead_server_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        drop(super::bind(&path).unwrap());
        let _listener = super::bind(&path).unwrap();
        super::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            super::connect(&folder.path().join("none.sock"))
                .await
                .is_err()
        );
    }
}

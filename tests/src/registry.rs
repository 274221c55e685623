//! A registry for one test: its own port, its own folder.

use ironwharf_local::test_app::{TestApp, TestOptions};
use tempfile::TempDir;

use crate::client::Client;

/// A running registry and the folder it keeps its data in.
#[derive(Debug)]
pub struct Registry {
    // Declared first, so that the server is told to stop before its folder goes.
    app: TestApp,
    folder: TempDir,
    options: TestOptions,
}

impl Registry {
    /// Starts an empty registry as `ironwharf serve` would.
    pub async fn start() -> Self {
        Self::start_with(TestOptions::default()).await
    }

    /// Starts an empty registry.
    pub async fn start_with(options: TestOptions) -> Self {
        Self::start_over(TempDir::new().expect("a temporary folder"), options).await
    }

    /// Starts a registry over a folder that has something in it already.
    pub async fn start_over(folder: TempDir, options: TestOptions) -> Self {
        let app = TestApp::start(folder.path(), options.clone()).await.expect("the registry starts");
        Self { app, folder, options }
    }

    /// A client of it, as the root, in the default Region.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.app.host())
    }

    /// The server itself.
    #[must_use]
    pub const fn app(&self) -> &TestApp {
        &self.app
    }

    /// `127.0.0.1:<port>`.
    #[must_use]
    pub fn host(&self) -> String {
        self.app.host()
    }

    /// The folder with the registry's data.
    #[must_use]
    pub fn data_dir(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Stops the registry and starts it again over the same folder; its port
    /// is another one then.
    pub async fn restart(self) -> Self {
        self.restart_after(|_| ()).await
    }

    /// The same, with a change of what is in the folder in between.
    pub async fn restart_after(self, change: impl FnOnce(&std::path::Path)) -> Self {
        let Self { app, folder, options } = self;
        app.stop().await;
        change(folder.path());
        let app = TestApp::start(folder.path(), options.clone()).await.expect("the registry starts again");
        Self { app, folder, options }
    }

    /// Stops the registry and removes its folder. A test that ends without
    /// this still leaves nothing, but the server may be writing while its
    /// folder goes.
    pub async fn stop(self) {
        self.app.stop().await;
        self.folder.close().expect("the folder is removed");
    }
}

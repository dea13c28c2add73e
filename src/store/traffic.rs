//! What is asked of services over the network: requests as they are sent, those that are sent again among
//! them, and bytes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http::Method;
use http::header::CONTENT_LENGTH;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// The traffic with each container.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Mutex<BTreeMap<String, Arc<Counts>>>>);

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
}

/// What was asked of one container so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its address.
    pub container: String,
    pub requests: u64,
    /// Bytes of answers whose length the service told beforehand: all objects, and some listings.
    pub read: u64,
    /// Bytes sent.
    pub written: u64,
}

impl Traffic {
    /// Counts for a container.
    pub(super) fn meter(&self, container: &str) -> Meter {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Meter(all.entry(container.to_string()).or_default().clone())
    }

    /// By address.
    pub fn asked(&self) -> Vec<Asked> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        all.iter()
            .map(|(container, counts)| Asked {
                container: container.clone(),
                requests: now(&counts.requests),
                read: now(&counts.read),
                written: now(&counts.written),
            })
            .collect()
    }
}

/// Connects, and counts what passes.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Counts>);

impl HttpConnector for Meter {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Metered { inner, counts: self.0.clone() }))
    }
}

#[derive(Debug)]
struct Metered {
    inner: HttpClient,
    counts: Arc<Counts>,
}

#[async_trait]
impl HttpService for Metered {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let has_body = request.method() != Method::HEAD;
        let sent = u64::try_from(request.body().content_length()).unwrap_or(0);
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        self.counts.written.fetch_add(sent, Ordering::Relaxed);
        let answer = self.inner.execute(request).await?;
        let length =
            answer.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        if let (true, Some(length)) = (has_body, length) {
            self.counts.read.fetch_add(length, Ordering::Relaxed);
        }
        Ok(answer)
    }
}

//! Requests about services.

use hyper::Method;
use hyper::header::ACCEPT;

use super::{Client, ClientError};
use crate::service::Attrs;
use crate::service_watch::ServiceWatch;
use crate::types::{
    OwnService, ServiceInfo, ServiceReport, ServiceRequest, WithdrawRequest, WithdrawnService,
};
use crate::uri::with_query;

impl Client {
    /// Has the daemon register a service, and keep it registered for as long as it runs and whenever it runs again.
    pub async fn register_service(&self, request: &ServiceRequest) -> Result<ServiceReport, ClientError> {
        self.post_body("/v1/services/register", request).await
    }

    /// Has the daemon register it no longer.
    pub async fn withdraw_service(
        &self,
        request: &WithdrawRequest,
    ) -> Result<Vec<WithdrawnService>, ClientError> {
        self.post_body("/v1/services/withdraw", request).await
    }

    /// What the daemon registers.
    pub async fn services(&self) -> Result<Vec<OwnService>, ClientError> {
        self.exchange.get_json("/v1/services").await
    }

    /// Those who offer a service now, with these attributes among theirs. `near`: the nearest by round trip first.
    pub async fn find_service(
        &self,
        name: &str,
        attrs: &Attrs,
        near: bool,
    ) -> Result<Vec<ServiceInfo>, ClientError> {
        let mut query = vec![("name", Some(name.to_owned())), ("near", near.then(|| "true".to_owned()))];
        query.extend(attrs.iter().map(|(key, value)| ("attr", Some(format!("{key}={value}")))));
        self.exchange.get_json(&with_query("/v1/services/find", &query)).await
    }

    /// Everything that happens to a service, beginning with those who offer it now.
    pub async fn watch_service(&self, name: &str) -> Result<ServiceWatch, ClientError> {
        let uri = with_query("/v1/services/watch", &[("name", Some(name.to_owned()))]);
        let request = self.exchange.request(Method::GET, &uri).header(ACCEPT, "text/event-stream");
        Ok(ServiceWatch::new(self.download(request).await?))
    }
}

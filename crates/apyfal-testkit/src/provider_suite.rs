//! What every provider of hosts does.

use std::time::Duration;

use apyfal_core::ErrorKind;
use apyfal_providers::{
    HostFilter, HostSpec, Instance, InstanceId, InstanceState, Provider, Request, Token,
};

/// Checks that a provider keeps the contract of [`Provider`], by a host that `spec` asks for. None is
/// left behind.
///
/// # Panics
/// It does not.
pub async fn provider_suite(provider: &dyn Provider, spec: &HostSpec) {
    let suite = Suite { provider, spec };
    suite.nothing_is_there().await;
    let (id, request) = suite.asking_twice_gets_one().await;
    suite.it_is_found().await;
    suite.it_is_stopped_and_started(&id).await;
    suite.it_is_ended_for_good(&id, &request).await;
}

struct Suite<'a> {
    provider: &'a dyn Provider,
    spec: &'a HostSpec,
}

impl Suite<'_> {
    fn token() -> Token {
        Token("apyfal_suite-Token0123456789".to_owned())
    }

    async fn get(&self, id: &InstanceId) -> Option<Instance> {
        self.provider.get(id).await.expect("an answer")
    }

    async fn list(&self, filter: HostFilter) -> Vec<Instance> {
        self.provider.list(&filter).await.expect("a list")
    }

    async fn until(&self, id: &InstanceId, state: InstanceState) -> Instance {
        for _ in 0..6000 {
            match self.get(id).await {
                Some(instance) if instance.state == state => return instance,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("{id} is {:?} and not {state}", self.get(id).await);
    }

    async fn nothing_is_there(&self) {
        let unknown = InstanceId("i-0123456789abcdef0".to_owned());
        assert!(self.get(&unknown).await.is_none());
        self.provider.terminate(&unknown).await.expect("what is gone is gone");
        let filter = HostFilter { token: Some(Self::token()), ..HostFilter::default() };
        assert!(self.list(filter).await.is_empty());
        assert!(!self.provider.info().name.is_empty());
    }

    async fn asking_twice_gets_one(&self) -> (InstanceId, Request) {
        let token = Self::token();
        let request = self.provider.prepare(self.spec, &[]).await.expect("a request").request;
        let create = || self.provider.create(&request, &token);
        let (one, other) = tokio::join!(create(), create());
        let id = one.expect("a machine");
        assert_eq!(other.expect("the same machine"), id);
        assert_eq!(create().await.expect("the same machine"), id);
        let another = HostSpec { name: format!("{}x", self.spec.name), ..self.spec.clone() };
        let another = self.provider.prepare(&another, &[]).await.expect("another request").request;
        let refused = self.provider.create(&another, &token).await.expect_err("a spent token");
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
        let all = self.list(HostFilter::default()).await;
        assert_eq!(all.iter().filter(|instance| instance.token == token).count(), 1);
        (id, request)
    }

    async fn it_is_found(&self) {
        let installation = Some(self.spec.installation.clone());
        let own = HostFilter { installation, token: Some(Self::token()) };
        let found = self.list(own.clone()).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, self.spec.name);
        let others = HostFilter { installation: Some("another".to_owned()), ..own };
        assert!(self.list(others).await.is_empty());
    }

    async fn it_is_stopped_and_started(&self, id: &InstanceId) {
        let running = self.until(id, InstanceState::Running).await;
        let url = running.url.expect("an address");
        assert!(url.starts_with("https://"), "{url}");
        self.provider.console(id).await.expect("an answer");
        self.provider.stop(id).await.expect("it stops");
        let stopped = self.until(id, InstanceState::Stopped).await;
        assert!(stopped.url.is_none());
        self.provider.stop(id).await.expect("it is stopped");
        self.provider.start(id).await.expect("it starts");
        self.provider.start(id).await.expect("it runs");
        self.until(id, InstanceState::Running).await;
    }

    async fn it_is_ended_for_good(&self, id: &InstanceId, request: &Request) {
        for _ in 0..2 {
            self.provider.terminate(id).await.expect("it ends");
        }
        self.until(id, InstanceState::Ended).await;
        assert!(self.provider.start(id).await.is_err());
        // Its token makes no other.
        match self.provider.create(request, &Self::token()).await {
            Ok(spent) => assert_eq!(spent, *id),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
        }
        self.until(id, InstanceState::Ended).await;
    }
}

//! The recorder, on a bus of this process alone.

use std::sync::Arc;

use tutti_bus::testing::Recorder;
use tutti_bus::{Bus, Failure, Result};

#[tutti_bus::api(name = "recorded.shop")]
pub trait Shop {
    async fn buy(&self, item: String) -> Result<u32>;

    #[event]
    fn sold(item: String);
}

fn stub() -> ShopStub {
    ShopStub::new().on_buy(|arguments| match arguments.item.as_str() {
        "pen" => Ok(1),
        _ => Err(Failure::message("there is none")),
    })
}

#[tokio::test]
async fn calls_and_what_came_of_them_are_remembered() {
    let recorder = Recorder::new();
    let bus = Bus::offline_with_hooks(vec![Arc::new(recorder.clone())]);
    bus.serve_here(stub());
    let shop = ShopClient::new(&bus);
    assert_eq!(shop.buy("pen").await.unwrap(), 1);
    assert_eq!(recorder.last("recorded.shop", "buy").unwrap().outcome.unwrap().unwrap().get(), "1");
    shop.buy("ink").await.unwrap_err();
    let why = recorder.last("recorded.shop", "buy").unwrap().outcome.unwrap().unwrap_err();
    assert!(why.contains("there is none"), "{why}");
    recorder.assert_called::<ShopBuyArguments>(2);
    recorder.assert_fired::<Sold>(0);
}

#[test]
#[should_panic(expected = "calls of recorded.shop.buy; all that was sent: ")]
fn a_call_that_is_missing_is_told() {
    Recorder::new().assert_called::<ShopBuyArguments>(1);
}

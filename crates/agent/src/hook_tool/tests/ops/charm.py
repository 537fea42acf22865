"""Uses everything of the framework that ends in a hook tool."""

import datetime

import ops


OLD = ops.__version__.startswith("2.9.")


class WebCharm(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        for event, handler in {
            self.on.config_changed: self._config_changed,
            self.on.update_status: self._update_status,
            self.on.start: self._start,
            self.on.db_relation_changed: self._db_changed,
            self.on.data_storage_attached: self._data_attached,
            self.on.secret_changed: self._secret_changed,
            self.on.backup_action: self._backup,
        }.items():
            framework.observe(event, handler)

    def _config_changed(self, _):
        assert dict(self.config) == {"port": 8080, "name": "web", "debug": False}, dict(self.config)
        assert self.unit.is_leader()
        assert self.app.planned_units() == 1
        self._relations()
        self._network()
        self._ports()
        self._secrets()
        self.model.storages.request("data", 1)
        assert str(self.model.resources.fetch("image")) == "/cache/i.tar"
        self.unit.set_workload_version("1.2")
        assert self.unit.status == ops.ActiveStatus("fine"), self.unit.status
        assert self.app.status == ops.WaitingStatus("so-so"), self.app.status
        self.app.status = ops.ActiveStatus()
        self.unit.status = ops.WaitingStatus("for it")

    def _relations(self):
        [relation] = self.model.relations["db"]
        assert relation.id == 7 and relation.app.name == "pg"
        units = sorted(relation.units, key=lambda unit: unit.name)
        assert [unit.name for unit in units] == ["pg/0", "pg/1"]
        hosts = ",".join(relation.data[unit]["host"] for unit in units)
        own = relation.data[self.unit]
        own["seen"] = f"{hosts} {relation.data[relation.app]['version']}"
        own["text"] = "two\nlines"
        del own["mine"]
        assert "mine" not in own
        relation.data[self.app]["from"] = "leader"
        assert relation.data[self.app] == {"ours": "b", "from": "leader"}
        peers = self.model.get_relation("peers")
        assert peers.data[self.app]["shared"] == "1"
        assert [unit.name for unit in peers.units] == ["web/1"]
        if hasattr(relation, "remote_model"):
            assert relation.remote_model.uuid == "11111111-2222-4333-8444-555555555555"
        try:
            self.model._backend.relation_list(99)
        except ops.RelationNotFoundError:
            pass
        else:
            raise AssertionError("relation 99 exists")

    def _network(self):
        network = self.model.get_binding("db").network
        assert str(network.bind_address) == "127.1.0.1", network.bind_address
        assert str(network.ingress_address) == "127.1.0.1"
        assert network.bind_address in network.interfaces[0].subnet
        assert [str(subnet) for subnet in network.egress_subnets] == ["127.1.0.1/32"]

    def _ports(self):
        self.unit.set_ports(8080, ops.Port("udp", 53))
        assert self.unit.opened_ports() == {ops.Port("tcp", 8080), ops.Port("udp", 53)}

    def _secrets(self):
        secret = self.app.add_secret(
            {"token": "t1"},
            label="api",
            description="D",
            expire=datetime.datetime(2036, 1, 2, 3, 4, 5),
            rotate=ops.SecretRotate.WEEKLY,
        )
        assert secret.get_content() == {"token": "t1"}
        secret.set_content({"token": "t2", "user-name": "päul\n"})
        secret.grant(self.model.get_relation("db"))
        info = self.model.get_secret(label="api").get_info()
        assert info.label == "api" and info.rotation == ops.SecretRotate.WEEKLY, info
        # Old releases look for the expiry under another name than Juju's.
        assert OLD or info.expires.tzinfo is not None, info
        assert secret.unique_identifier in info.id, info
        passing = self.unit.add_secret({"password": "x"})
        passing.remove_all_revisions()
        try:
            self.model.get_secret(id="secret:0000000000000000000g")
        except ops.SecretNotFoundError:
            pass
        else:
            raise AssertionError("there is a secret")

    def _update_status(self, _):
        assert not self.unit.is_leader()
        relation = self.model.get_relation("db")
        for call in (
            lambda: self.app.add_secret({"password": "x"}),
            lambda: self.model._backend.relation_set(7, {"a": "b"}, True)
            if ops.__version__ < "3"
            else self.model._backend.relation_set(7, {"a": "b"}, is_app=True),
        ):
            try:
                call()
            except (ops.ModelError, TypeError) as error:
                assert not isinstance(error, ops.RelationNotFoundError), error
            else:
                raise AssertionError("a follower wrote")
        assert relation.data[relation.app]["version"] == "16"
        assert [storage.id for storage in self.model.storages["data"]] == ["data/0"] or [
            storage.index for storage in self.model.storages["data"]
        ] == [0]

    def _start(self, _):
        raise RuntimeError("no")

    def _db_changed(self, event):
        assert event.unit.name == "pg/1" and event.app.name == "pg"
        event.relation.data[self.unit]["got"] = event.relation.data[event.unit]["host"]

    def _data_attached(self, event):
        assert event.storage.index == 0
        assert str(event.storage.location) == "/srv/data", event.storage.location

    def _secret_changed(self, event):
        assert event.secret.label == "db"
        assert event.secret.get_content() == {"password": "p1"}
        assert event.secret.peek_content() == {"password": "p2"}
        assert event.secret.get_content(refresh=True) == {"password": "p2"}
        assert event.secret.get_content() == {"password": "p2"}

    def _backup(self, event):
        assert event.params == {"target": "s3"}, event.params
        event.log("starting")
        event.set_results({"to": event.params["target"], "size": {"mib": 5}})
        event.fail("disk full")


if __name__ == "__main__":
    ops.main(WebCharm)

-- Where the end of a wait meets that of others: the number of the only task that needs it, -1 for the end of the flow if none
-- does. As long as others wait there too, nothing follows from its end. Absent if several tasks need it, or nobody has said.
ALTER TABLE flow_wait ADD COLUMN joins BIGINT;

DROP INDEX flow_wait_flow;
CREATE INDEX flow_wait_joins ON flow_wait (flow, joins);

-- The first release nudged without an inbox; who is nudged and has no news would look for it for ever.
UPDATE flow SET nudged = FALSE
    WHERE nudged AND NOT EXISTS (SELECT 1 FROM flow_inbox WHERE flow_inbox.flow = flow.id);

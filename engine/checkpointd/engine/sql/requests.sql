-- name: find_answer
-- Runs under the thread's lock, as keep_answer does.
SELECT digest, answer FROM checkpointd.requests
WHERE tenant = %(tenant)s AND thread_id = %(target)s AND request_id = %(request_id)s

-- name: keep_answer
INSERT INTO checkpointd.requests (tenant, thread_id, request_id, digest, answer)
VALUES (%(tenant)s, %(target)s, %(request_id)s, %(digest)s, %(answer)s)

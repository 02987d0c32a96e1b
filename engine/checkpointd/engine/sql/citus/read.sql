-- name: of_wanted
-- Said in each part, so that a read goes to the node of its thread as a whole. It is of one thread then: see Reads.pages.
%(thread_id)s

-- name: of_steps
%(thread_id)s

-- name: of_page
%(thread_id)s

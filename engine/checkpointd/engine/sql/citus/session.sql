-- name: plan_cache
-- Which node a statement goes to is a part of its plan.
SET plan_cache_mode = force_custom_plan

-- Row-level security: PostgreSQL itself shows and takes the rows of no other tenants than those that a connection says it works
-- for. It binds connections that have become checkpointd_tenant, and no other role: an owner's dump has all.

-- name: may_secure_rows
-- Whether this role can set it up, or it is set up and this role may use it.
SELECT
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
    OR (
        (
            EXISTS (SELECT FROM pg_roles WHERE rolname = 'checkpointd_tenant')
            OR (SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user)
        )
        AND NOT EXISTS (
            SELECT FROM pg_class
            WHERE relnamespace = 'checkpointd'::regnamespace AND relkind IN ('r', 'p')
                AND NOT pg_has_role(current_user, relowner, 'USAGE')
        )
    )

-- name: make_tenant_role
-- Roles are of the whole cluster, so another database may have made it just now.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'checkpointd_tenant') THEN
        CREATE ROLE checkpointd_tenant NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$

-- name: join_tenant_role
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'checkpointd_tenant', 'MEMBER') THEN
        EXECUTE format('GRANT checkpointd_tenant TO %I', current_user);
    END IF;
END
$$

-- name: let_tenant_role_in
GRANT USAGE ON SCHEMA checkpointd TO checkpointd_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA checkpointd TO checkpointd_tenant;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA checkpointd TO checkpointd_tenant

-- name: secure_rows
-- For each table of tenants' rows that has no policy yet. The permissive one lets all other roles be as they were.
DO $$
DECLARE
    unsecured regclass;
    of_connection text := '(SELECT current_setting(''checkpointd.tenants'', true))';
BEGIN
    FOR unsecured IN
        SELECT attrelid::regclass
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'checkpointd'::regnamespace AND relkind IN ('r', 'p') AND attname = 'tenant'
            AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = attrelid AND polname = 'own_tenants')
        ORDER BY 1
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', unsecured);
        EXECUTE format('CREATE POLICY everybody ON %s USING (true) WITH CHECK (true)', unsecured);
        EXECUTE format(
            'CREATE POLICY own_tenants ON %s AS RESTRICTIVE TO checkpointd_tenant USING '
            '(tenant = ANY ((SELECT string_to_array(%s, '',''))::text[]) OR %s = ''*'')',
            unsecured, of_connection, of_connection
        );
    END LOOP;
END
$$

-- name: become_tenant
SET ROLE checkpointd_tenant

-- name: work_for
SELECT set_config('checkpointd.tenants', $1, false)

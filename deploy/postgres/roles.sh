#!/bin/sh
# Roles, databases and extensions, as `embedded/services/postgres.py` makes them.
# Run once by the image of Postgres, on an empty data directory.
set -eu

as() {
    database=$1
    shift
    psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$database" "$@"
}

as template1 --set owner="$POSTGRES_OWNER_PASSWORD" --set app="$POSTGRES_APP_PASSWORD" \
    --set mlflow="$POSTGRES_MLFLOW_PASSWORD" <<'SQL'
CREATE ROLE switchyard_owner LOGIN NOSUPERUSER PASSWORD :'owner';
CREATE ROLE switchyard_app LOGIN NOSUPERUSER PASSWORD :'app';
CREATE ROLE switchyard_mlflow LOGIN NOSUPERUSER PASSWORD :'mlflow';
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE EXTENSION IF NOT EXISTS citext;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
ALTER DEFAULT PRIVILEGES FOR ROLE switchyard_owner
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO switchyard_app;
ALTER DEFAULT PRIVILEGES FOR ROLE switchyard_owner
    GRANT USAGE, SELECT ON SEQUENCES TO switchyard_app;
SQL
as postgres -c 'CREATE DATABASE switchyard OWNER switchyard_owner'
as postgres -c 'CREATE DATABASE mlflow OWNER switchyard_mlflow'

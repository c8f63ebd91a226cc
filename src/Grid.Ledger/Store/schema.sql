-- What the log is made of. Append-only for every role: the triggers bind the owner too, the grants leave the sequencer nothing else.
create schema if not exists log;

create table if not exists log.batch (
    first bigint primary key check (first >= 0),
    count integer not null check (count > 0),
    -- the entries, each behind its big-endian 16-bit length, as C2SP tlog-tiles bundles them
    entries bytea not null,
    -- 32 bytes an entry
    leaves bytea not null check (octet_length(leaves) = 32 * count)
);
-- Hashes and signatures do not compress.
alter table log.batch alter column entries set storage external;

create table if not exists log.head (
    one boolean primary key default true check (one),
    size bigint not null,
    root bytea not null check (octet_length(root) = 32),
    -- counts the writers; who claims the next one shuts the one before out
    epoch bigint not null,
    checkpoint text not null
);
insert into log.head (size, root, epoch, checkpoint)
    values (0, '\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0, '') on conflict do nothing;

create or replace function log.refuse() returns trigger language plpgsql as $$
begin
    raise exception 'The log is append-only: % on %.% is refused.', lower(tg_op), tg_table_schema, tg_table_name using errcode = 'insufficient_privilege';
end $$;

create or replace function log.only_forward() returns trigger language plpgsql as $$
begin
    if (new.epoch = old.epoch and new.size > old.size)
        or (new.epoch = old.epoch + 1 and new.size = old.size and new.root = old.root and new.checkpoint = old.checkpoint) then
        return new;
    end if;
    raise exception 'The head of the log only grows, or changes its writer.' using errcode = 'insufficient_privilege';
end $$;

create or replace function log.without_gap() returns trigger language plpgsql as $$
begin
    if new.first + new.count = (select size from log.head) and new.first = coalesce((select b.first + b.count from log.batch b order by b.first desc limit 1), 0) then
        return new;
    end if;
    raise exception 'A batch begins where the one before ended, and ends at the head.' using errcode = 'integrity_constraint_violation';
end $$;

create or replace trigger append_only before update or delete on log.batch for each row execute function log.refuse();
create or replace trigger never_emptied before truncate on log.batch execute function log.refuse();
create or replace trigger without_gap before insert on log.batch for each row execute function log.without_gap();
create or replace trigger never_deleted before delete on log.head for each row execute function log.refuse();
create or replace trigger never_emptied before truncate on log.head execute function log.refuse();
create or replace trigger only_forward before update on log.head for each row execute function log.only_forward();
create or replace trigger append_only before update or delete on events.mt_events for each row execute function log.refuse();
create or replace trigger never_emptied before truncate on events.mt_events execute function log.refuse();
create or replace trigger never_deleted before delete on events.mt_streams for each row execute function log.refuse();
create or replace trigger never_emptied before truncate on events.mt_streams execute function log.refuse();

-- Roles belong to the whole cluster: another database's ledger may be making this one now.
do $$
begin
    create role grid_sequencer nologin;
exception when duplicate_object or unique_violation then null;
end $$;
do $$
begin
    if not pg_has_role('grid_sequencer', 'member') then
        execute format('grant grid_sequencer to %I', current_user);
    end if;
end $$;
grant usage on schema log, events to grid_sequencer;
grant select, insert on log.batch, events.mt_events to grid_sequencer;
grant select, update on log.head to grid_sequencer;
grant select, insert, update on events.mt_streams to grid_sequencer;
grant usage, update on all sequences in schema events to grid_sequencer;
grant execute on all functions in schema events to grid_sequencer;

-- The command that appends events inserts their streams first, and no stream ever goes (never_deleted), so PostgreSQL need not look for the stream of every event:
-- that took a fifth of a commit. Only a superuser may say so, as an embedded ledger is; for any other it goes on looking.
do $$
declare looks name;
begin
    for looks in select t.tgname from pg_trigger t join pg_constraint c on c.oid = t.tgconstraint
        where t.tgrelid = 'events.mt_events'::regclass and t.tgisinternal and c.contype = 'f'
    loop
        execute format('alter table events.mt_events disable trigger %I', looks);
    end loop;
exception when insufficient_privilege then null;
end $$;

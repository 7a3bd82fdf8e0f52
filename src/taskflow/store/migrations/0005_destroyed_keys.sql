-- A key is destroyed in the very append that ends what it was made for: an invitation, say. Its row stays, without
-- the key, as the record that this was done on purpose: what it sealed reads as nothing, while a key without a row
-- is damage.
alter table keys alter column wrapped_key drop not null;
comment on table keys is
    'A key a person or an invitation, wrapped by the master key. Null: it was destroyed, and what it sealed is erased.';

-- append_group inserts the rows of a group in the order of its commands; one without a key destroys what is there.
-- Here and not in it: so it holds whichever of append_group's versions a process calls while releases change over.
create function destroy_key() returns trigger language plpgsql as $$
begin
    update keys set wrapped_key = null where person = new.person;
    if found then
        return null;
    end if;
    return new;
end $$;

create trigger destroy_key before insert on keys
    for each row when (new.wrapped_key is null) execute function destroy_key();

-- An owner is kept as it is compared: in lower case, but for ids that know case. How it was written stands beside it if that differs.
ALTER TABLE held ADD COLUMN spelling TEXT;
-- Two that differ in case alone were two until now. They stay two, each under its own spelling, until somebody ends one.
UPDATE held SET spelling = owner, owner = lower(owner)
 WHERE owner != lower(owner) AND protocol IS NOT 'fleetlock'
   AND NOT EXISTS (SELECT 1 FROM held AS other
                    WHERE other.lock = held.lock AND other.number != held.number AND lower(other.owner) = lower(held.owner));

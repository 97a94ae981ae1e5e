"""An S3 server of one's own: SeaweedFS on this machine, for who has no bucket."""

"""From the outbox to the channels, and what people do about deliveries."""

"""What requests ask and responses say, whatever the transport."""

"""What the families with an image encoder, a prompt encoder and SAM's two-way mask decoder share."""
